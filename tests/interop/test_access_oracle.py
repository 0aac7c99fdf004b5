"""
Restriction lists, beside Debian's smtpd: the same replies for generated lists,
classes, access tables, clients, greetings, senders and recipients.
"""

from __future__ import annotations

import random
import re
import smtplib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twisted.internet.defer import Deferred

from tests.interop.postfix_instance import PATIENCE, Postfix, free_port
from tests.interop.running import RunningTestCase
from tests.support import asked, require, require_root
from txmta.address import quote
from txmta.config.settings import Settings
from txmta.maps.registry import TableRegistry
from txmta.model import Client, Reply
from txmta.roles.shared import Tables
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.judgement import line
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.access.validate import problems_of_lists
from txmta.smtp.session import Session

#: Configurations, sessions asked of each, and recipients in each session.
CONFIGURATIONS, SESSIONS, RECIPIENTS = 40, 12, 8

#: And sessions with content.
WHOLE = 6

COMMON = {
    "myhostname": "mx.here.test",
    "mydomain": "here.test",
    "myorigin": "mx.here.test",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "all",
    "relayhost": "",
    "mynetworks": "10.0.0.0/8",
    "mydestination": "here.test, localhost",
    "relay_domains": "r.test",
    "virtual_alias_domains": "al.test",
    "virtual_alias_maps": "inline:{{v@al.test = u@here.test}}",
    "recipient_delimiter": "+",
    "local_recipient_maps": "inline:{u=x}",
    "alias_maps": "",
    "compatibility_level": "3.6",
    "smtpd_recipient_limit": "100000",
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "100000",
    "smtpd_junk_command_limit": "100000",
    "smtpd_peername_lookup": "no",
    "smtpd_authorized_xclient_hosts": "0.0.0.0/0, [::]/0",
    "strict_smtputf8": "no",
}

CLIENTS = (
    *(("mail.good.test", "192.0.2.1"), ("unknown", "192.0.2.77")),
    *(("sub.bad.test", "198.51.100.9"), ("bad.test", "2001:db8::1:2")),
    *(("friend.test", "10.1.2.3"), ("a.b.bad.test", "192.0.20.1")),
)
HELOS = (
    *("mail.good.test", "bad.test", "sub.bad.test", "localhost", "a..b", "[192.0.2.1]"),
    *("[192.0.2]", "192.0.2.1", "mail.good.test.", "under_score.test", "-a.test"),
    *("[IPv6:2001:db8::1]", "x", ""),
)
SENDERS = (
    *("", "u@here.test", "nobody@here.test", "x@bad.test", "x+y@sub.bad.test"),
    *("user", "u@localhost", "a b@good.test", "u%bad.test@here.test", "X@BAD.test"),
    *("v@al.test", "nobody@al.test", "u@[192.0.2.1]", "u@bad.test.", "x@nodot"),
)
ADDRESSES = (
    *("u@here.test", "nobody@here.test", "x@else.test", "u%else.test@here.test"),
    *("u@r.test", "u@sub.r.test", "else.test!u", "u@[192.0.2.1]", "postmaster"),
    *("u+x@here.test", "x+y@sub.bad.test", "U@HERE.test", "u", "v@al.test"),
    *("w@al.test", "x@bad.test", "u@else.test@here.test", "u@[127.0.0.1]"),
    *("u%else.test@r.test", "a b@r.test", "u@nodot", "u@bad.test.", "\xfc@r.test"),
)
KEYS = (
    *("good.test", "bad.test", ".bad.test", "sub.bad.test", "unknown", "192.0.2"),
    *("192.0", "198.51.100.9", "2001:db8::1:2", "2001:db8", "2001:db8::1", "10"),
    *("here.test", "u@here.test", "u@", "x@", "else.test", "r.test", "test", "<>"),
    *("nobody@here.test", "x@bad.test", "localhost", "mx.here.test", "al.test"),
    *("x+y@", "192", "v@al.test", "user@mx.here.test", "x+y@sub.bad.test"),
)
RESULTS = (
    *("OK", "ok trailing", "REJECT", "reject Go away", "REJECT 5.1.8 From", "DUNNO"),
    *("450 Later", "550 5.1.1 No", "554", "123456", "DEFER", "defer 4.2.1 Wait"),
    *("DEFER_IF_PERMIT", "DEFER_IF_REJECT 4.5.6 No", "permit", "reject", "one", "two"),
    *("permit_mynetworks, reject", "warn_if_reject reject", "HOLD", "INFO x", "WARN"),
    *("FILTER x:y", "FILTER x", "REDIRECT a@b.test", "BCC a@b.test", "PREPEND X: y"),
    *("451 4.3.5 Broken", "RELAY", "nonsense", "reject_unauth_destination", "two one"),
    *("static:x", "550 4.1.2 Odd", "REJECT 4.1.3", "550 no-enhanced 5.1.1"),
)
#: Not permit_inet_interfaces: to Postfix, whoever speaks for others is a client still.
PLAIN = (
    *("permit", "reject", "defer", "defer_if_permit", "defer_if_reject"),
    *("permit_mynetworks", "permit_auth_destination"),
    *("permit_sasl_authenticated", "permit_tls_clientcerts", "one", "two"),
    *("permit_tls_all_clientcerts", "reject_unauth_destination"),
    *("defer_unauth_destination", "reject_unauth_pipelining"),
    *("reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname"),
    *("reject_invalid_hostname", "reject_non_fqdn_hostname"),
    *("reject_non_fqdn_sender", "reject_non_fqdn_recipient"),
    "reject_unlisted_recipient",
    *("reject_multi_recipient_bounce", "reject_plaintext_session"),
)
#: The usual ones are more often there.
OFTEN = ("permit_mynetworks", "reject_unauth_destination", "permit_auth_destination")
TABLES = (
    *("check_client_access", "check_helo_access", "check_sender_access"),
    *("check_recipient_access", "check_reverse_client_hostname_access"),
)
CODES = (
    *("reject_code", "access_map_reject_code", "invalid_hostname_reject_code"),
    *("non_fqdn_reject_code", "multi_recipient_bounce_reject_code"),
    "plaintext_reject_code",
)


class Talk(NamedTuple):
    """
    One session.

    @ivar whole: there is content, too; recipients are accepted then.
    """

    client: tuple[str, str]
    helo: str
    sender: str
    recipients: Sequence[str]
    whole: bool = False


def table(dice: random.Random) -> str:
    chosen = {key: dice.choice(RESULTS) for key in dice.sample(KEYS, 7)}
    entries = " ".join(f"{{{key} = {value}}}" for key, value in chosen.items())
    return f"inline:{{{entries}}}"


def items(dice: random.Random, most: int, alone: bool, classes: bool) -> str:
    """
    @param alone: a table may stand without a restriction.
    """
    out: list[str] = []
    for _ in range(dice.randrange(most + 1)):
        if dice.random() < 0.15:
            out.append("warn_if_reject")
        kind = dice.random()
        if kind < 0.45:
            out.append(f"{dice.choice(TABLES)} {table(dice)}")
        elif kind < 0.5 and alone:
            out.append(table(dice))
        elif kind < 0.65:
            out.append(dice.choice(OFTEN))
        else:
            word = dice.choice(PLAIN)
            if classes or word not in ("one", "two"):
                out.append(word)
    if out and out[-1] == "warn_if_reject":
        out.pop()
    return ", ".join(out)


def configuration(dice: random.Random) -> Mapping[str, str]:
    """
    @return: one that starts: with a list that is closed.
    """
    while True:
        found = _configuration(dice)
        if not problems_of_lists(Settings.of(**{**COMMON, **found})):
            return found


def _configuration(dice: random.Random) -> Mapping[str, str]:
    found = {
        "smtpd_restriction_classes": "one, two",
        "one": items(dice, 3, True, False) or "permit_mynetworks",
        "two": items(dice, 2, False, False) or "reject_non_fqdn_sender",
        "smtpd_delay_reject": dice.choice(("yes", "yes", "no")),
        "smtpd_relay_restrictions": items(dice, 2, True, True)
        + ", permit_mynetworks, reject_unauth_destination",
    }
    for name in ("data", "end_of_data"):
        if dice.random() < 0.4:
            found[f"smtpd_{name}_restrictions"] = items(dice, 3, False, False)
    for name in ("client", "helo", "sender", "recipient"):
        if dice.random() < 0.6:
            found[f"smtpd_{name}_restrictions"] = items(dice, 4, True, True)
    if dice.random() < 0.3:
        # Elsewhere Postfix asks once, and takes the sender for the next recipient.
        senders = found.get("smtpd_sender_restrictions", "")
        found["smtpd_sender_restrictions"] = f"reject_unlisted_sender, {senders}"
    if found["smtpd_delay_reject"] == "no":
        # Who speaks for others must be greeted.
        clients = found.get("smtpd_client_restrictions", "")
        found["smtpd_client_restrictions"] = f"permit_inet_interfaces, {clients}"
    for name in CODES:
        if dice.random() < 0.2:
            found[name] = dice.choice(("551", "554", "550", "570", "471"))
    if dice.random() < 0.3:
        found["smtpd_null_access_lookup_key"] = "u@here.test"
    if dice.random() < 0.3:
        found["parent_domain_matches_subdomains"] = "relay_domains"
    if dice.random() < 0.4:
        found["smtpd_reject_unlisted_sender"] = "yes"
    if dice.random() < 0.3:
        found["smtpd_reject_unlisted_recipient"] = "no"
    if dice.random() < 0.3:
        found["smtpd_relay_before_recipient_restrictions"] = "no"
    return found


def talks(dice: random.Random) -> list[Talk]:
    whole = [
        Talk(
            dice.choice(CLIENTS),
            dice.choice(HELOS),
            dice.choice(("", dice.choice(SENDERS))),
            ["u@here.test", "u@r.test", "postmaster"][: dice.randrange(1, 4)],
            True,
        )
        for _ in range(WHOLE)
    ]
    return whole + [
        Talk(
            dice.choice(CLIENTS),
            dice.choice(HELOS),
            dice.choice(SENDERS),
            [dice.choice(ADDRESSES) for _ in range(RECIPIENTS)],
        )
        for _ in range(SESSIONS)
    ]


@dataclass(frozen=True)
class Ours:
    """
    Our side, with one configuration.
    """

    world: World
    policy: Policy

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Ours:
        settings = Settings.of(**values)
        tables = Tables.open(settings, float, lambda text: None)
        registry = TableRegistry(float, lambda text: None)
        world = World(
            tables.addresses,
            tables.open_list(settings, "mynetworks"),
            ("127.0.0.1",),
            codes(settings),
        )
        tools = Tools(
            settings,
            world,
            lambda item: registry.table(item, "smtpd_recipient_restrictions"),
            lambda name: tables.open_list(settings, name),
        )
        return cls(world, Policy.of(settings, tools))

    def talk(self, talk: Talk) -> Iterator[str]:
        """
        @return: replies that tell something, up to that which ends it.
        """
        (name, address), rewrite = talk.client, self.world.addresses.rewrite
        session = Session(Client(address, 1, name, name))
        # Whom XCLIENT names is not asked about at once, as Postfix has it.
        postponed = None
        if talk.helo:
            session.helo = talk.helo
            check = Check(self.world, session, "", "", stage="HELO")
            check.if_permit = postponed
            yield (reply := self._judge(check))
            postponed = check.if_permit
            if reply != "ok":
                session.helo = ""
        origin = rewrite(talk.sender, True) if talk.sender else ""
        check = Check(self.world, session, "", "", origin, talk.sender, "MAIL")
        check.if_permit = postponed
        yield (reply := self._judge(check))
        if reply != "ok":
            return
        accepted = 0
        postponed, actions = check.if_permit, check.actions
        for each in talk.recipients:
            standard = rewrite(each, True)
            check = Check(self.world, session, each, standard, origin, talk.sender)
            check.recipients, check.if_permit = accepted, postponed
            check.actions = actions
            reply = "ok" if each == "postmaster" else self._judge(check)
            accepted += reply == "ok"
            if reply == "ok":
                first = each if accepted == 1 else ""
            yield reply
        if not talk.whole or not accepted:
            return
        for stage in ("DATA", "END-OF-MESSAGE"):
            standard = rewrite(first, True) if first else ""
            check = Check(self.world, session, first, standard, origin, talk.sender)
            check.stage, check.recipients, check.actions = stage, accepted, actions
            yield (reply := self._judge(check))
            if reply != "ok":
                return

    def _judge(self, check: Check) -> str:
        reply = self.policy.judge(check)
        assert not isinstance(reply, Deferred)
        return line(reply) if isinstance(reply, Reply) else "ok"


class Theirs:
    """
    Postfix's side.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._smtp: smtplib.SMTP | None = None

    def talk(self, talk: Talk) -> Iterator[str]:
        """
        As L{Ours.talk}.
        """
        if not talk.helo:
            self.close()  # what was said of HELO before is not forgotten
        if self._smtp is None:
            self._smtp = smtplib.SMTP("127.0.0.1", self._port, "c.test", PATIENCE)
            self._smtp.command_encoding = "utf-8"
            self._smtp.ehlo()
        name, address = talk.client
        name = "[UNAVAILABLE]" if name == "unknown" else name
        address = f"IPV6:{address}" if ":" in address else address
        said = f"NAME={name} ADDR={address} REVERSE_NAME={name}"
        assert self._do("XCLIENT", said) == "ok"
        if talk.helo:
            yield self._do("EHLO", talk.helo)
        yield (reply := self._do("MAIL", f"FROM:<{quote(talk.sender)}>"))
        if reply != "ok":
            return
        accepted = 0
        for each in talk.recipients:
            yield (reply := self._do("RCPT", f"TO:<{quote(each)}>"))
            accepted += reply == "ok"
        if talk.whole and accepted:
            yield (reply := self._do("DATA", ""))
            if reply == "ok":
                yield self._do(".", "")
        self._do("RSET", "")

    def close(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _do(self, command: str, rest: str) -> str:
        assert self._smtp is not None
        code, text = self._smtp.docmd(command, rest)
        return "ok" if code < 400 else f"{code} {text.decode()}"


class AccessOracle(RunningTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")

    def test_sessions(self) -> None:
        """
        Code, status and words; and we never relay what Postfix refuses.
        """
        dice = random.Random(6)
        found = [(free_port(), configuration(dice)) for _ in range(CONFIGURATIONS)]
        postfix = Postfix(COMMON)
        self.addCleanup(postfix.close)
        with (postfix.home / "etc/master.cf").open("a") as f:
            for port, values in found:
                f.write(f"127.0.0.1:{port} inet n - n - - smtpd\n")
                f.writelines(f"  -o {{ {n} = {v} }}\n" for n, v in values.items())
        postfix.run("start")
        different: list[object] = []
        questions = refused = 0
        for port, values in found:
            ours, theirs = Ours.of({**COMMON, **values}), Theirs(port)
            for talk in talks(dice):
                ours_said, theirs_said = list(ours.talk(talk)), list(theirs.talk(talk))
                questions += len(theirs_said)
                refused += sum(each != "ok" for each in theirs_said)
                if ours_said != theirs_said:
                    different.append((talk, theirs_said, ours_said, values))
            theirs.close()
        self.assertEqual(different[:3], [], f"{len(different)} differ")
        self.assertGreater(questions, 2000)
        self.assertGreater(refused, questions // 4)
        asked(questions)

    def test_servers(self) -> None:
        """
        The running servers side by side: replies, and what the log says of them.
        """
        dice = random.Random(11)
        found = configuration(dice)
        while (
            found["smtpd_delay_reject"] == "no"
            or "smtpd_data_restrictions" not in found
        ):
            found = configuration(dice)
        values = {**COMMON, **found}
        postfix = Postfix(values)
        self.addCleanup(postfix.close)
        postfix.run("start")
        main_cf = "".join(f"{name} = {value}\n" for name, value in values.items())
        txmta = self.running(main_cf)
        ours, theirs = Theirs(txmta.port), Theirs(postfix.ports[True])
        for talk in talks(dice):
            self.assertEqual(list(ours.talk(talk)), list(theirs.talk(talk)), talk)
        ours.close()
        theirs.close()
        txmta.stop()  # writes all it has to say
        said = refusals((postfix.home / "mail.log").read_text())
        self.assertEqual(refusals(txmta.log()), said)
        self.assertGreater(len(said), 50)


def refusals(log: str) -> list[str]:
    """
    @return: what the restrictions had to say, without times and queue ids.
    """
    verbs = "reject|reject_warning|hold|filter|redirect|bcc|info|warn|discard"
    return re.findall(rf"smtpd\[\d+\]: \w+: ((?:{verbs}): .*)", log)
