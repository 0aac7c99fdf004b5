"""
What EHLO offers to whom, and sessions that are in the log (debug_peer_list).
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.smtp.server.support import FRIEND, STRANGER, Listed, Sink, world
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.interfaces import ITable
from txmta.model import Client, Reply
from txmta.smtp.privileges import Privileges
from txmta.smtp.service import problems
from txmta.smtp.transcript import Transcript

_MAPS = "inline:{{192.0.2.1=pipelining, dsn}}"


class DiscardTests(SynchronousTestCase):
    def test_log(self) -> None:
        server = world(smtpd_discard_ehlo_keywords="chunking, dsn, size")
        client = server.connect()
        self.assertNotIn(b"DSN", client.say(b"EHLO x\r\n"))
        self.assertIn("discarding EHLO keywords: SIZE DSN CHUNKING", server.sink.lines)

    def test_silent(self) -> None:
        server = world(smtpd_discard_ehlo_keywords="dsn, silent-discard")
        server.connect().say(b"EHLO x\r\n")
        self.assertEqual(server.sink.lines, ["connect from unknown[192.0.2.1]"])

    def test_nothing_discarded(self) -> None:
        server = world(smtputf8_enable="no")
        server.connect().say(b"EHLO x\r\n")
        self.assertEqual(server.sink.lines, ["connect from unknown[192.0.2.1]"])

    def test_by_address(self) -> None:
        """
        The table says it instead of the list, and for commands too.
        """
        server = world(
            smtpd_discard_ehlo_keywords="chunking",
            smtpd_discard_ehlo_keyword_address_maps=_MAPS,
        )
        stranger = server.connect(STRANGER)
        stranger.heard()
        offered = stranger.say(b"EHLO x\r\n")
        self.assertIn(b"CHUNKING", offered)
        self.assertNotIn(b"PIPELINING", offered)
        self.assertIn("discarding EHLO keywords: PIPELINING DSN", server.sink.lines)
        said = stranger.say(b"MAIL FROM:<> RET=HDRS\r\n")
        self.assertIn(b"501 5.7.1 DSN support is disabled", said)
        friend = server.connect(FRIEND).say(b"EHLO x\r\n")
        self.assertIn(b"PIPELINING", friend)
        self.assertNotIn(b"CHUNKING", friend)

    def test_broken_table(self) -> None:
        @implementer(ITable)
        class Broken:
            def lookup(self, key: str) -> str | None:
                raise TableUnavailable("hash:/x", "gone")

        sink = Sink()
        found = Privileges(sink, None, None, discards=(Broken(),))
        answer = self.successResultOf(found.of(Client(STRANGER, 1)))  # type: ignore[arg-type]
        self.assertEqual(answer, ())
        self.assertEqual(len(sink.lines), 1)


class DebugTests(SynchronousTestCase):
    def test_transcript(self) -> None:
        server = world(debug_peer_list="192.0.2.1")
        server.lists["debug_peer_list"] = Listed((STRANGER,))
        server.__post_init__()
        client = server.connect()
        client.say(b"HELO x\r\n")
        client.say(b"AUTH PLAIN c2VjcmV0\r\n")
        client.say(b"QUIT\r\n")
        peer = "unknown[192.0.2.1]"
        self.assertEqual(
            server.sink.lines[1:],
            [
                f"> {peer}: 220 mx.example.org ESMTP Postfix",
                f"< {peer}: HELO x",
                f"> {peer}: 250 mx.example.org",
                f"< {peer}: AUTH PLAIN",
                f"> {peer}: 503 5.5.1 Error: authentication not enabled",
                f"< {peer}: QUIT",
                f"> {peer}: 221 2.0.0 Bye",
            ],
        )

    def test_others(self) -> None:
        server = world(debug_peer_list="192.0.2.9")
        server.lists["debug_peer_list"] = Listed(("192.0.2.9",))
        server.__post_init__()
        server.connect().say(b"HELO x\r\n")
        self.assertEqual(server.sink.lines, ["connect from unknown[192.0.2.1]"])

    def test_challenge(self) -> None:
        """
        Nothing of a challenge or a response is shown.
        """
        noted: list[str] = []
        transcript = Transcript(None, noted.append, lambda: "c")
        transcript.heard(b" auth LOGIN dXNlcg==")
        transcript.said(Reply(334, "", "UGFzc3dvcmQ6"))
        self.assertEqual(noted, ["< c:  auth LOGIN", "> c: 334"])


class CommandFilterTests(SynchronousTestCase):
    def test_replaced(self) -> None:
        server = world(
            smtpd_command_filter="regexp:{{/^FOO bar/ NOOP}, {/^HELO x/ EHLO y}}"
        )
        client = server.connect()
        client.heard()
        self.assertEqual(client.say(b"  FOO bar\r\n"), b"250 2.0.0 Ok\r\n")
        self.assertIn(b"250-", client.say(b"HELO x\r\n"))
        self.assertEqual(client.server.session.helo, "y")
        self.assertIn(b"500 5.5.2", client.say(b"BAR\r\n"))
        self.assertEqual(
            server.sink.lines[1:],
            [
                'unknown[192.0.2.1]: replacing command "FOO bar" with "NOOP"',
                'unknown[192.0.2.1]: replacing command "HELO x" with "EHLO y"',
            ],
        )

    def test_unavailable(self) -> None:
        """
        Who cannot know what a command means does not go on.
        """

        def broken(line: bytes) -> bytes | None:
            raise TableUnavailable("pcre:/x", "gone")

        server = world()
        client = server.connect()
        client.heard()
        engine = client.server._engine
        engine.rules = replace(engine.rules, command_filter=broken)
        self.assertEqual(
            client.say(b"NOOP\r\n"),
            b"421 4.3.0 mx.example.org Server local data error\r\n",
        )
        self.assertTrue(client.transport.disconnecting)

    def test_slow_tables(self) -> None:
        """
        A table that must be waited for is refused before the start.
        """
        settings = Settings.of(smtpd_command_filter="mysql:/etc/x.cf, pcre:/x")
        (problem,) = problems(settings)
        self.assertIn("mysql:/etc/x.cf: every command would wait for it", problem)
