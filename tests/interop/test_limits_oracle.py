"""
Limits on what one client does: in several processes, compared with Postfix.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tests.interop.dovecot_auth import DovecotAuth
from tests.interop.postfix_instance import Postfix
from tests.interop.running import RunningTestCase
from tests.interop.test_login_oracle import SETTINGS as LOGINS
from tests.interop.test_login_oracle import plain
from tests.interop.tools import wait_for
from tests.support import require

LIMITS = {
    "smtpd_client_event_limit_exceptions": "",
    "smtpd_client_connection_count_limit": "3",
    "smtpd_client_connection_rate_limit": "9",
    "smtpd_client_message_rate_limit": "6",
    "smtpd_client_recipient_rate_limit": "5",
    "smtpd_peername_lookup": "no",
    "myhostname": "mx.here.test",
}

MAIN_CF = "process_model = multi\nprocesses_per_role = 2\n"


class Session:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._lines = self._socket.makefile("rb")
        self.greeting = self._reply()

    def _reply(self) -> str:
        line = self._lines.readline()
        while line[3:4] == b"-":
            line = self._lines.readline()
        return line.decode().rstrip()

    def say(self, command: str) -> str:
        self._socket.sendall(command.encode() + b"\r\n")
        return self._reply()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def script(port: int) -> Iterator[str]:
    """
    @return: replies to what provokes each limit; two connections stay open, so
        that another process may have the rest.
    """
    open_ = [Session(port), Session(port)]
    for session in open_:
        yield session.greeting.partition(" ")[0]
        yield session.say("HELO client.test")
    for n in range(4):
        for session in open_:
            yield session.say(f"MAIL FROM:<s{n}@x.test>")
            yield session.say(f"RCPT TO:<r{n}@y.test>")
            yield session.say("RSET")
    third, fourth = Session(port), Session(port)
    yield third.greeting[:3]
    yield fourth.greeting
    for session in (third, fourth, open_.pop()):
        session.close()
    time.sleep(1.5)  # until they are gone
    for _ in range(12):
        session = Session(port)
        if session.greeting.startswith("421"):
            # How many there were before depends on who asked whether it listens.
            yield session.greeting
            session.close()
            break
        session.say("QUIT")
        session.close()
        time.sleep(0.5)  # else there would be too many at a time
    open_[0].close()


class LimitsOracleTests(RunningTestCase):
    def test_limits(self) -> None:
        """
        Counts and rates over all processes; replies and lines of the log are
        Postfix's.
        """
        require("postfix")
        postfix = Postfix(LIMITS)
        self.addCleanup(postfix.close)
        postfix.run("start")
        lines = "".join(f"{name} = {value}\n" for name, value in LIMITS.items())
        ours = self.running(f"{MAIN_CF}{lines}relayhost = [127.0.0.1]:1\n")
        theirs = list(script(postfix.ports[True]))
        found = list(script(ours.port))
        self.assertEqual(found, theirs)
        self.assertIn("421 4.7.0", found[-1])
        self.assertIn("450 4.7.1 Error: too much mail from 127.0.0.1", found)
        self.assertIn("450 4.7.1 Error: too many recipients from 127.0.0.1", found)

        def warned(path: Path, port: int) -> list[str]:
            words = r"smtpd\[\d+\]: (warning: .* limit exceeded: .*)"
            found = re.findall(words, path.read_text())
            named = [each.replace(f"127.0.0.1:{port}", "S") for each in found]
            # Before the rate there may have been one who asked whether it listens.
            # Those of two processes come in any order.
            # Who has hung up may count for a moment more.
            return sorted({re.sub(r"(rate .*: )10 ", r"\1N ", each) for each in named})

        port = postfix.ports[True]
        log = postfix.home / "mail.log"
        expected = wait_for(
            lambda: "Connection rate" in str(w := warned(log, port)) and w,
            "Postfix logs nothing",
        )
        ours.wait_for_log("Connection rate limit exceeded")
        self.assertEqual(warned(ours.folder / "mail.log", ours.port), expected)

    def test_logins(self) -> None:
        """
        AUTH commands count, whether or not they succeed.
        """
        require("postfix")
        require("dovecot")
        dovecot = DovecotAuth()
        self.addCleanup(dovecot.close)
        dovecot.start()
        settings = {
            **LOGINS,
            "smtpd_sasl_path": str(dovecot.socket),
            "smtpd_client_event_limit_exceptions": "",
            "smtpd_client_auth_rate_limit": "2",
            "myhostname": "mx.here.test",
            "smtpd_peername_lookup": "no",
        }
        postfix = Postfix(settings)
        self.addCleanup(postfix.close)
        postfix.run("start")
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        ours = self.running(
            f"{MAIN_CF}{lines}smtpd_sasl_failure_delay = 0\nrelayhost = [127.0.0.1]:1\n"
        )

        def replies(port: int) -> list[str]:
            found = []
            for _ in range(2):
                session = Session(port)
                session.say("EHLO client.test")
                for word in (plain("user", "wrong"), plain("user", "wonderland")):
                    found.append(session.say(f"AUTH PLAIN {word}"))
                session.close()
            return found

        theirs = replies(postfix.ports[True])
        self.assertEqual(replies(ours.port), theirs)
        limit = "450 4.7.1 Error: too many AUTH commands from 127.0.0.1"
        self.assertEqual(theirs[2:], [limit] * 2)
        words = "AUTH command rate limit exceeded: 4 from unknown"
        ours.wait_for_log(words)
        self.assertIn(words, (postfix.home / "mail.log").read_text())
