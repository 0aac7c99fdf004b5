"""
Whom smtpd knows, beside Debian's smtpd: the same replies to RCPT for generated
addresses and tables of recipients, aliases, canonical addresses and routes.
"""

from __future__ import annotations

import random
import smtplib
from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.postfix_instance import PATIENCE, Postfix, free_port
from tests.smtp.server.support import Listed
from tests.support import asked, require, require_root
from txmta.address import quote
from txmta.config.settings import Settings
from txmta.model import Client, Reply
from txmta.roles.shared import Tables
from txmta.smtp.access.check import Check, World
from txmta.smtp.access.policy import Policy, codes
from txmta.smtp.session import Session

#: Configurations, and recipients asked of each.
CONFIGURATIONS = 14
RECIPIENTS = 120

COMMON = {
    "myhostname": "mx.here.test",
    "mydomain": "here.test",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "relayhost": "",
    "mydestination": "here.test, localhost",
    "virtual_alias_domains": "al.test",
    "virtual_mailbox_domains": "v.test",
    "relay_domains": "r.test",
    "recipient_delimiter": "+",
    "local_recipient_maps": "",
    "alias_maps": "",
    "compatibility_level": "3.6",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_recipient_limit": "100000",
    "smtpd_error_sleep_time": "0",
    "smtpd_hard_error_limit": "100000",
    "smtpd_peername_lookup": "no",
}

_DOMAINS = (
    *("here.test", "localhost", "Here.Test", "mx.here.test", "[127.0.0.1]", "v.test"),
    *("r.test", "R.Test", "al.test", "e.test", "sub.r.test", "[192.0.2.1]"),
)
_USERS = (
    *("u", "U", "u+x", "w", "w+x+y", "+x", "postmaster", "Postmaster+x", "a.b", "a b"),
    *("a b+x", "double-bounce", "MAILER-DAEMON", "u%e.test", "u@r.test", "e.test!u"),
)
_ERRORS = ("error:5.1.8 From: There", "error:No Mail", "retry:4.2.2 Later", "retry:")


def address(dice: random.Random) -> str:
    user = dice.choice(_USERS)
    return user if dice.random() < 0.05 else f"{user}@{dice.choice(_DOMAINS)}"


def table(dice: random.Random, values: Sequence[str]) -> str:
    """
    @return: C{inline:}, a few entries.
    """
    keys: list[str] = []
    for _ in range(5):
        user, domain = dice.choice(_USERS[:9]), dice.choice(_DOMAINS)
        keys += [f"{user}@{domain}", f"@{domain}", user, domain]
    chosen = {key.lower(): dice.choice(values) for key in dice.sample(keys, 6)}
    return f"inline:{{{' '.join(f'{{{k} = {v}}}' for k, v in chosen.items())}}}"


def settings(dice: random.Random) -> Mapping[str, str]:
    """
    @return: a configuration; each part is there now and then.
    """
    found = {
        "local_recipient_maps": table(dice, "x"),
        "virtual_mailbox_maps": table(dice, "x"),
        "relay_recipient_maps": table(dice, "x"),
        "virtual_alias_maps": table(dice, ("new@e.test",)),
        "canonical_maps": table(dice, ("new@e.test",)),
        "recipient_canonical_maps": table(dice, ("new@e.test",)),
        "sender_canonical_maps": table(dice, ("new@e.test",)),
        "transport_maps": table(dice, (*_ERRORS, "slow:", ":")),
        "relocated_maps": table(dice, ("New Place",)),
        "sender_dependent_default_transport_maps": table(dice, (*_ERRORS, "slow")),
        "show_user_unknown_table_name": "no",
        "unknown_local_recipient_reject_code": "450",
        "unknown_virtual_alias_reject_code": "551",
        "unknown_relay_recipient_reject_code": "554",
        "unknown_virtual_mailbox_reject_code": "552",
        "double_bounce_sender": "twice",
    }
    return {n: v for n, v in found.items() if dice.random() < 0.5}


class RecipientOracle(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")

    def test_recipients(self) -> None:
        """
        Code, status and words.
        """
        dice = random.Random(3)
        found = [(free_port(), settings(dice)) for _ in range(CONFIGURATIONS)]
        postfix = Postfix(COMMON)
        self.addCleanup(postfix.close)
        with (postfix.home / "etc/master.cf").open("a") as f:
            for i, (port, configuration) in enumerate(found):
                services = (
                    f"route{i} unix - - n - - trivial-rewrite\n",
                    f"127.0.0.1:{port} inet n - n - - smtpd\n"
                    f"  -o rewrite_service_name=route{i}\n",
                )
                options = "".join(
                    f"  -o {{ {name} = {value} }}\n"
                    for name, value in configuration.items()
                )
                f.writelines(service + options for service in services)
        postfix.run("start")
        different: list[object] = []
        refused = 0
        for port, configuration in found:
            sender = address(dice)
            questions = [address(dice) for _ in range(RECIPIENTS)]
            theirs = self.ask_postfix(port, sender, questions)
            ours = self.ask_policy({**COMMON, **configuration}, sender, questions)
            for question, their, our in zip(questions, theirs, ours, strict=True):
                refused += our != "ok"
                if our != their:
                    different.append((question, sender, their, our, configuration))
        self.assertEqual(different, [])
        self.assertGreater(refused, 300)
        asked(CONFIGURATIONS * RECIPIENTS)

    def ask_postfix(
        self, port: int, sender: str, recipients: Sequence[str]
    ) -> Sequence[str]:
        with smtplib.SMTP("127.0.0.1", port, "client.test", PATIENCE) as client:
            client.ehlo()
            code, text = client.docmd("MAIL", f"FROM:<{quote(sender)}>")
            self.assertEqual(code, 250, text)
            replies = [
                client.docmd("RCPT", f"TO:<{quote(each)}>") for each in recipients
            ]
        return [
            "ok" if code == 250 else f"{code} {text.decode()}" for code, text in replies
        ]

    def ask_policy(
        self, values: Mapping[str, str], sender: str, recipients: Sequence[str]
    ) -> Sequence[str]:
        found = Settings.of(**values)
        resolver = Tables.open(found, float, lambda _: None).addresses
        world = World(resolver, Listed(("127.0.0.1",)), (), codes(found))
        policy = Policy.of(found)
        session = Session(Client("127.0.0.1", 1))
        origin = resolver.rewrite(sender, True)

        def ask(recipient: str) -> str:
            if recipient.lower() == "postmaster":
                return "ok"
            standard = resolver.rewrite(recipient, True)
            reply = policy.judge(Check(world, session, recipient, standard, origin))
            assert not isinstance(reply, Deferred)
            return _line(reply) if reply else "ok"

        return [ask(each) for each in recipients]


def _line(reply: Reply) -> str:
    return f"{reply.code} {reply.status} {reply.text}"
