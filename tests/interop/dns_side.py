"""
Restrictions that ask the DNS, asked of Debian's smtpd and of ours with one name server.

Run where port 53 is free and C{/etc/resolv.conf} names 127.0.0.1::

    python -m tests.interop.dns_side SEED

Writes how many replies were compared, and each difference, as JSON.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.interop.postfix_instance import Postfix, free_port
from tests.interop.test_access_oracle import COMMON, Talk, Theirs
from txmta.config.settings import Settings
from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.maps.registry import TableRegistry
from txmta.model import Client, Reply
from txmta.roles.shared import Tables
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.dns_asking import record_types
from txmta.smtp.access.judgement import line
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.session import Session

#: Configurations, sessions asked of each, and recipients in each session.
CONFIGURATIONS, SESSIONS, RECIPIENTS = 24, 8, 5


def _name(text: str) -> str:
    labels = [f"{len(label):02x}{label.encode().hex()}" for label in text.split(".")]
    return "".join(labels) + "00"


#: dnsmasq's options. Nobody serves C{again.test}: the answer is a refusal.
ZONE = (
    "--host-record=a.test,192.0.2.1",
    "--host-record=b.test,192.0.2.2",
    "--host-record=six.test,2001:db8::7",
    "--host-record=us.test,127.0.0.1",
    "--host-record=ns.test,198.51.100.53",
    "--mx-host=mx.test,a.test,10",
    "--mx-host=nowhere.test,gone.test,10",
    "--mx-host=backup.test,a.test,10",
    "--mx-host=backup.test,us.test,20",
    "--mx-host=best.test,us.test,10",
    "--mx-host=best.test,a.test,20",
    f"--dns-rr=null.test,15,0000{'00'}",
    f"--dns-rr=mx.test,2,{_name('ns.test')}",
    f"--dns-rr=test,2,{_name('ns.test')}",
    "--txt-record=text.test,only text",
    "--cname=alias.test,a.test",
    "--host-record=2.2.0.192.bl.test,127.0.0.2",
    "--host-record=2.2.0.192.bl.test,127.0.0.10",
    "--txt-record=2.2.0.192.bl.test,Go away",
    "--host-record=3.2.0.192.bl.test,127.0.0.3",
    "--host-record=mx.test.bl.test,127.0.0.2",
    "--txt-record=mx.test.bl.test,bad domain",
    "--host-record=a.test.bl.test,127.0.0.4",
)
CLIENTS = (
    *(("a.test", "192.0.2.1"), ("unknown", "192.0.2.2"), ("b.test", "192.0.2.3")),
    *(("mx.test", "192.0.2.9"), ("six.test", "2001:db8::7")),
)
NAMES = (
    *("a.test", "mx.test", "six.test", "null.test", "text.test", "gone.test"),
    *("alias.test", "again.example", "nowhere.test", "sub.mx.test"),
)
HELOS = (*NAMES, "[192.0.2.1]", "[x]", "192.0.2.1", "a..b", "nodots")
DOMAINS = (*NAMES, "[192.0.2.1]", "here.test", "r.test", "backup.test", "best.test")
RESTRICTIONS = (
    *("reject_unknown_client_hostname", "reject_unknown_reverse_client_hostname"),
    *("reject_unknown_helo_hostname", "reject_unknown_sender_domain"),
    *("reject_unknown_recipient_domain", "permit_mx_backup, reject"),
    *("reject_rbl_client bl.test", "reject_rbl_client bl.test=127.0.0.[3..9]"),
    *("reject_rbl_client bl.test=127.0.0.10", "reject_rbl_client again.example"),
    *("reject_rhsbl_client bl.test", "reject_rhsbl_helo bl.test=127.0.0.2"),
    *("reject_rhsbl_sender bl.test", "reject_rhsbl_recipient bl.test"),
    *("reject_rhsbl_reverse_client bl.test", "permit_dnswl_client bl.test, reject"),
    *("permit_dnswl_client again.example, reject", "permit_rhswl_client bl.test"),
    *("warn_if_reject reject_unknown_sender_domain", "permit_mynetworks", "defer"),
)
KEYS = (
    *("a.test", "ns.test", "192.0.2.1", "192.0.2", "198.51.100", "mx.test", "test"),
    *("2001:db8::7", "127", "six.test"),
)
RESULTS = ("REJECT", "OK", "DUNNO", "450 Later", "REJECT 5.1.2 No", "defer_if_permit")
WHOSE = ("client", "helo", "sender", "recipient", "reverse_client_hostname")


def restriction(dice: random.Random) -> str:
    if dice.random() < 0.6:
        return dice.choice(RESTRICTIONS)
    keys = dice.sample(KEYS, 2)
    entries = " ".join(f"{{{key} = {dice.choice(RESULTS)}}}" for key in keys)
    name = f"check_{dice.choice(WHOSE)}_{dice.choice(('a', 'mx', 'ns'))}_access"
    return f"{name} inline:{{{entries}}}"


def configuration(dice: random.Random) -> Mapping[str, str]:
    items = [restriction(dice) for _ in range(dice.randrange(1, 4))]
    found = {
        "smtpd_relay_restrictions": "permit_mx_backup, permit_mynetworks, "
        "reject_unauth_destination"
        if dice.random() < 0.3
        else "check_client_access static:OK, reject",
        "smtpd_recipient_restrictions": ", ".join(items),
    }
    for name in ("client", "address", "hostname"):
        if dice.random() < 0.4:
            found[f"unknown_{name}_reject_code"] = dice.choice(("550", "554", "471"))
    if dice.random() < 0.3:
        found["reject_tempfail_action"] = "defer"
    if dice.random() < 0.3:
        found["maps_rbl_reject_code"] = "553"
    if dice.random() < 0.5 and "bl.test=" not in ", ".join(items):
        # With a filter, Debian's does not try the name of the list alone.
        found["rbl_reply_maps"] = (
            "inline:{{bl.test = $$rbl_code 5.3.2 No $$rbl_class <$$rbl_what> $$rbl_txt "
            "$$client $$helo_name $$sender_domain $$recipient_name ${rbl_txt?x}}}"
        )
    if dice.random() < 0.4:
        found["permit_mx_backup_networks"] = dice.choice(("192.0.2.0/24", "10.0.0.0/8"))
    return found


def talks(dice: random.Random) -> list[Talk]:
    return [
        Talk(
            dice.choice(CLIENTS),
            dice.choice(HELOS),
            f"x@{dice.choice(DOMAINS)}" if dice.random() < 0.9 else "",
            [f"y@{dice.choice(DOMAINS)}" for _ in range(RECIPIENTS)],
        )
        for _ in range(SESSIONS)
    ]


class Ours:
    """
    Our side, with one configuration.
    """

    def __init__(self, values: Mapping[str, str], resolver: Resolver) -> None:
        settings = Settings.of(**values)
        tables = Tables.open(settings, float, lambda text: None)
        registry = TableRegistry(float, lambda text: None)
        self._world = World(
            tables.addresses,
            tables.open_list(settings, "mynetworks"),
            ("127.0.0.1",),
            codes(settings),
            resolver=resolver,
            families=record_types(settings.inet_protocols),
        )
        tools = Tools(
            settings,
            self._world,
            lambda item: registry.table(item, "smtpd_recipient_restrictions"),
            lambda name: tables.open_list(settings, name),
        )
        self._policy = Policy.of(settings, tools)

    async def talk(self, talk: Talk) -> list[str]:
        """
        @return: replies to MAIL and RCPT.
        """
        (name, address), rewrite = talk.client, self._world.addresses.rewrite
        session = Session(Client(address, 1, name, name), talk.helo)
        origin = rewrite(talk.sender, True) if talk.sender else ""
        said = ["ok"]
        for each in talk.recipients:
            standard = rewrite(each, True)
            check = Check(self._world, session, each, standard, origin, talk.sender)
            reply = self._policy.judge(check)
            if isinstance(reply, Deferred):
                reply = await reply
            said.append(line(reply) if isinstance(reply, Reply) else "ok")
        return said


def name_server() -> subprocess.Popen[bytes]:
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]
    command += [
        "--no-resolv",
        "--no-hosts",
        "--local=/test/",
        "--listen-address=127.0.0.1",
    ]
    command += ["--user=root", "--pid-file=", "--bind-interfaces", *ZONE]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", 53)) == 0:
                return server
        time.sleep(0.05)
    raise AssertionError("dnsmasq does not listen")


async def compare(seed: int) -> None:
    dice = random.Random(seed)
    found = [(free_port(), configuration(dice)) for _ in range(CONFIGURATIONS)]
    common = {**COMMON, "smtpd_reject_unlisted_recipient": "no"}
    postfix = Postfix(common)
    server = name_server()
    different: list[object] = []
    replies = refused = 0
    try:
        with (postfix.home / "etc/master.cf").open("a") as f:
            for port, values in found:
                f.write(f"127.0.0.1:{port} inet n - n - - smtpd\n")
                f.writelines(f"  -o {{ {n} = {v} }}\n" for n, v in values.items())
        postfix.run("start")
        loop = cast(Any, reactor)
        resolver = Resolver(Network(loop, loop, loop))
        for port, values in found:
            ours, theirs = Ours({**common, **values}, resolver), Theirs(port)
            for talk in talks(dice):
                # To EHLO nobody asks anything.
                theirs_said = list(theirs.talk(talk))[1:]
                ours_said = await ours.talk(talk)
                replies += len(theirs_said)
                refused += sum(each != "ok" for each in theirs_said)
                if ours_said != theirs_said:
                    different.append((talk, theirs_said, ours_said, values))
            theirs.close()
    except BaseException:
        log = postfix.home / "mail.log"
        sys.stderr.write(log.read_text() if log.exists() else "no log")
        raise
    finally:
        server.terminate()
        server.wait()
        postfix.close()
    print(json.dumps([replies, refused, different]))


if __name__ == "__main__":
    react(
        lambda reactor, seed: Deferred.fromCoroutine(compare(int(seed))), sys.argv[1:]
    )
