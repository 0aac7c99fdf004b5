"""
Tests of check_rate_limit.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.support import FRIEND, Sink, world
from txmta.config.settings import Settings
from txmta.model import Client, Login, TLSInfo, Transcript
from txmta.smtp.access.by_rate import RateLimit
from txmta.smtp.access.check import Check
from txmta.smtp.rates import NAME, SharedRates
from txmta.smtp.service import problems, server_factory
from txmta.smtp.session import Session


def check(**values: Any) -> Check:
    anything: Any = None
    session = Session(
        Client("192.0.2.77", 1, "mail.X.test"),
        "Helo",
        tls=TLSInfo("TLSv1.3", "c", 1, 1, fingerprint="AB"),
        login=Login("joe", "PLAIN"),
    )
    parts = {"recipient": "R@Y.test", "address": "R@Y.test", "sender": "S@X.test"}
    return Check(anything, session, **{**parts, **values})


class SyntaxTests(SynchronousTestCase):
    def value(self, key: str, **values: Any) -> str:
        limit = RateLimit.parse(f"{{ {key} 1 recipients/1h }}")
        return limit.value(check(**values))

    def test_keys(self) -> None:
        for key, value in (
            ("sasl_username", "joe"),
            ("sender", "s@x.test"),
            ("sender_domain", "x.test"),
            ("recipient", "r@y.test"),
            ("recipient_domain", "y.test"),
            ("client_address", "192.0.2.77"),
            ("client_name", "mail.x.test"),
            ("client_network", "192.0.2.0/24"),
            ("client_network/16", "192.0.0.0/16"),
            ("client_network/16/48", "192.0.0.0/16"),
            ("helo_name", "helo"),
            ("ccert_fingerprint", "AB"),
            ("any", "any"),
            ("sasl_username+recipient_domain", "joe y.test"),
        ):
            self.assertEqual(self.value(key), value, key)
        self.assertEqual(self.value("sender_domain", sender=""), "")
        self.assertEqual(self.value("sasl_username+sender", sender=""), "")

    def test_limit(self) -> None:
        limit = RateLimit.parse("{ sender 20 messages/2d hold }")
        self.assertEqual(
            (limit.limit, limit.unit, limit.period, limit.action),
            (20, "messages", 172800.0, "hold"),
        )
        self.assertEqual(RateLimit.parse("{ any 0 messages/60 }").action, "defer")

    def test_wrong(self) -> None:
        for text in (
            "sender",
            "{}",
            "{ sender 20 }",
            "{ sender x messages/1h }",
            "{ sender 20 octets/1h }",
            "{ sender 20 messages }",
            "{ sender 20 messages/0 }",
            "{ sender 20 messages/40d }",
            "{ sender 20 messages/1h explode }",
            "{ sendr 20 messages/1h }",
            "{ client_network/33 1 messages/1h }",
            "{ client_network/24/64/1 1 messages/1h }",
            "{ any+any+any+any+any 1 messages/1h }",
            "{ any 1 messages/1h defer more }",
        ):
            self.assertRaises(ValueError, RateLimit.parse, text)

    def test_start(self) -> None:
        """
        What cannot be understood stops the start.
        """
        settings = Settings.of(
            smtpd_data_restrictions="check_rate_limit {sender 1 octets/1h}"
        )
        self.assertEqual(
            problems(settings),
            [
                "smtpd_data_restrictions: check_rate_limit {sender 1 octets/1h}: "
                "octets/1h: write recipients/TIME or messages/TIME"
            ],
        )

    def test_more(self) -> None:
        """
        At RCPT one by one, at DATA what was accepted.
        """
        for unit, key, stage, recipients, more in (
            ("recipients", "any", "RCPT", 5, 1),
            ("recipients", "any", "DATA", 5, 5),
            ("messages", "any", "RCPT", 0, 1),
            ("messages", "any", "RCPT", 1, 0),
            ("messages", "any", "END-OF-MESSAGE", 9, 1),
            ("messages", "recipient_domain", "RCPT", 3, 1),
        ):
            limit = RateLimit.parse(f"{{ {key} 1 {unit}/1h }}")
            found = limit.more(check(stage=stage, recipients=recipients))
            self.assertEqual(found, more, (unit, key, stage))


class Postmaster:
    classes = frozenset[str]()
    sender = ""

    def __init__(self) -> None:
        self.told: list[Transcript] = []

    def transcript(self, transcript: Transcript) -> None:
        self.told.append(transcript)


class LimitTests(SynchronousTestCase):
    def server(self, **settings: str) -> None:
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.time = 1000.0
        self.w = world(**settings)
        self.postmaster: Any = Postmaster()
        self.start()

    def start(self) -> None:
        w = self.w
        rates = SharedRates(self.directory, lambda: self.time, w.sink, self.postmaster)
        self.addCleanup(rates.close)
        services = w.services()
        services = type(services)(**{**services.__dict__, "rates": rates})
        w.factory = server_factory(w.settings, services)

    def send(self, *recipients: str, sender: str = "a@x.test") -> list[bytes]:
        """
        @return: the replies to RCPT, and to DATA.
        """
        talk = self.w.connect(FRIEND)
        talk.heard()
        talk.say(f"MAIL FROM:<{sender}>\r\n".encode())
        replies = [talk.say(f"RCPT TO:<{each}>\r\n".encode()) for each in recipients]
        replies.append(talk.say(b"DATA\r\n"))
        if replies[-1].startswith(b"354"):
            talk.say(b"Subject: x\r\n\r\nx\r\n.\r\n")
        return replies

    def test_recipients(self) -> None:
        """
        Of one sender, over sessions; others are not concerned. The postmaster
        hears of it once.
        """
        self.server(
            smtpd_relay_restrictions="check_rate_limit {sender 3 recipients/1h}, "
            "permit_mynetworks, reject"
        )
        self.send("1@y.test", "2@y.test")
        three, four, _ = self.send("3@y.test", "4@y.test")
        self.assertIn(b"250", three)
        self.assertEqual(
            four,
            b"450 4.7.1 <4@y.test>: Rate limit exceeded: too many recipients\r\n",
        )
        self.send("5@y.test")
        self.assertIn(b"250", self.send("6@y.test", sender="b@x.test")[0])
        self.assertEqual(len(self.postmaster.told), 1)
        text = "rate limit exceeded: sender 3 recipients/1h: a@x.test: defer"
        self.assertEqual(self.postmaster.told[0].lines, ((True, text),))
        self.assertIn(f"warning: {text}", self.w.sink.lines)
        self.time += 3601
        self.assertIn(b"250", self.send("7@y.test")[0])
        self.send(*(f"{n}@y.test" for n in range(5)))
        self.assertEqual(len(self.postmaster.told), 2)

    def test_restart(self) -> None:
        """
        Counts are there after a restart.
        """
        self.server(
            smtpd_relay_restrictions="check_rate_limit {any 1 messages/1d reject}, "
            "permit_mynetworks, reject"
        )
        self.assertIn(b"250", self.send("1@y.test", "2@y.test")[1])
        self.start()
        self.assertEqual(
            self.send("1@y.test")[0],
            b"550 5.7.1 <1@y.test>: Rate limit exceeded: too many messages\r\n",
        )

    def test_data(self) -> None:
        """
        At DATA what was accepted counts.
        """
        self.server(
            smtpd_data_restrictions="check_rate_limit {sender_domain 3 recipients/1h}"
        )
        self.assertIn(b"354", self.send("1@y.test", "2@y.test")[-1])
        self.assertEqual(
            self.send("3@y.test", "4@y.test")[-1].splitlines()[0],
            b"450 4.7.1 Error: rate limit exceeded: too many recipients",
        )

    def test_hold(self) -> None:
        """
        Mail over the limit waits for somebody to look at it.
        """
        self.server(smtpd_data_restrictions="check_rate_limit {any 1 messages/1h hold}")
        self.send("1@y.test")
        self.send("2@y.test")
        held = [m.envelope.hold for m in self.w.cleanup.messages]
        self.assertEqual(held, [False, True])

    def test_warn_if_reject(self) -> None:
        """
        Counts, and says what would be.
        """
        self.server(
            smtpd_relay_restrictions="warn_if_reject check_rate_limit "
            "{any 0 messages/1h}, permit_mynetworks, reject"
        )
        self.assertIn(b"250", self.send("1@y.test")[0])
        self.assertEqual(self.postmaster.told, [])


class FileTests(SynchronousTestCase):
    def rates(self, directory: str) -> SharedRates:
        made = SharedRates(directory, lambda: 1.0, Sink(), None)
        self.addCleanup(made.close)
        return made

    def test_file(self) -> None:
        """
        Nobody else can read who sends how much; what is no table becomes one.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        path = os.path.join(directory, NAME)
        with open(path, "wb") as file:
            file.write(b"something else")
        rates = self.rates(directory)
        self.assertEqual(rates.count("a", 60.0, 1), 1)
        self.assertEqual(self.rates(directory).count("a", 60.0, 1), 2)
        os.unlink(path)
        self.rates(directory)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_not_a_file(self) -> None:
        """
        What a link leads to is left alone, and nothing waits for a FIFO.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        path = os.path.join(directory, NAME)
        # A file of the test's own: should the guard be missing, it is overwritten.
        target = os.path.abspath(os.path.join(directory, "precious"))
        with open(target, "w") as file:
            file.write("precious")
        os.symlink(target, path)
        self.assertRaises(OSError, SharedRates, directory, float, Sink(), None)
        with open(target) as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(path)
        os.mkfifo(path)
        self.assertRaises(OSError, SharedRates, directory, float, Sink(), None)

    def test_full_disk(self) -> None:
        """
        Trouble of ours refuses nobody.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        rates = self.rates(directory)

        def full(*arguments: object) -> int:
            raise OSError("No space left on device")

        self.patch(os, "pwrite", full)
        self.assertEqual(rates.count("a", 60.0, 1), 1)
