"""
What the end of a command means.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.sysexits import Ending, diagnostic, printable, verdict


class VerdictTests(SynchronousTestCase):
    """
    As Debian's Postfix; tests/interop/test_pipe_oracle.py asks it.
    """

    def of(self, status: int = 0, output: bytes = b"") -> tuple[str, str]:
        return verdict("/bin/x", Ending(status, output=output))

    def test_success(self) -> None:
        """
        What a command said is told, and is never a status.
        """
        self.assertEqual(self.of(), ("2.0.0", ""))
        self.assertEqual(self.of(0, b"4.1.1 fine\ntwo\n"), ("2.0.0", "4.1.1 fine two"))

    def test_sysexits(self) -> None:
        """
        sysexits.h: only EX_OSERR and EX_TEMPFAIL are temporary.
        """
        codes = {status: self.of(status)[0] for status in range(64, 79)}
        temporary = {status for status, code in codes.items() if code[0] == "4"}
        self.assertEqual(temporary, {71, 75})
        self.assertEqual(self.of(67), ("5.1.1", "user unknown"))
        self.assertEqual(self.of(78), ("5.3.5", "local configuration error"))
        self.assertEqual(
            self.of(64, b"hello\n"),
            ("5.3.0", "command line usage error. Command output: hello "),
        )

    def test_others(self) -> None:
        """
        Any other exit status is permanent.
        """
        for status in (1, 63, 79, 127, 255):
            self.assertEqual(
                self.of(status),
                ("5.3.0", f'Command died with status {status}: "/bin/x"'),
            )

    def test_enhanced_status(self) -> None:
        """
        pipe(8): a status code at the start of the output takes precedence.
        """
        self.assertEqual(self.of(1, b"4.2.2 my text\n"), ("4.2.2", "my text "))
        self.assertEqual(self.of(75, b"5.7.1 no\nmore"), ("5.7.1", "no more"))
        self.assertEqual(self.of(75, b"2.7.1 no"), ("5.0.0", "no"))

    def test_never_empty(self) -> None:
        """
        A code alone leaves no reason; an L{Outcome} must have one.
        """
        self.assertEqual(self.of(1, b"5.7.1"), ("5.7.1", "unspecified"))
        self.assertEqual(self.of(1, b"5.7.1\n"), ("5.7.1", "unspecified"))

    def test_no_status(self) -> None:
        """
        What only looks like a status code is text.
        """
        for output in (b" 5.7.1 x", b"4.1.1x", b"6.1.1 x", b"4.1234.1 x", b"4.1 x"):
            code, reason = self.of(75, output)
            self.assertEqual(code, "4.3.0")
            self.assertIn(output.decode(), reason)

    def test_signal(self) -> None:
        """
        A command that was killed may do better the next time, whatever it
        said before.
        """
        self.assertEqual(
            verdict("x y", Ending(signal=9, output=b"5.1.1 out\n")),
            ("4.3.0", 'Command died with signal 9: "x y". Command output: 5.1.1 out '),
        )

    def test_time_limit(self) -> None:
        """
        It wins over the signal that ended it.
        """
        self.assertEqual(
            verdict("x y", Ending(signal=9, timed_out=True)),
            ("5.3.0", 'Command time limit exceeded: "x y"'),
        )


class DiagnosticTests(SynchronousTestCase):
    def test_all(self) -> None:
        """
        Diagnostic-Code of Postfix's bounces: what the command said, without
        its status code, or what its end means.
        """
        for ending, text in (
            (Ending(1), "unknown mail system error 1"),
            (Ending(1, output=b"hello\ntwo\n"), "hello two"),
            (Ending(67), "user unknown"),
            (Ending(64, output=b"why\n"), "why"),
            (Ending(75, output=b"5.7.1 my text\nmore\n"), "my text more"),
            (Ending(79), "unknown mail system error 79"),
            (Ending(1, output=b"5.7.1\n"), "unspecified"),
            (Ending(signal=9), "internal software error"),
            (Ending(signal=9, output=b"4.1.1 hm\n"), "4.1.1 hm"),
            (Ending(signal=9, output=b"4.1.1 hm", timed_out=True), "4.1.1 hm"),
        ):
            self.assertEqual(diagnostic(ending), f"x-unix; {text}", ending)


class PrintableTests(SynchronousTestCase):
    def test_one_line(self) -> None:
        """
        Output goes to log and bounces: one line, nothing that moves a cursor.
        """
        self.assertEqual(printable(b"a\tb\nc\r\x1b[2J\0\x7f"), "a b c__[2J__")
        self.assertEqual(printable("ä\u2028\u202e".encode()), "ä__")
        self.assertEqual(printable(b"\xff\xc3"), "__")

    def test_any_octet(self) -> None:
        """
        No octet is dangerous.
        """
        text = printable(bytes(range(256)))
        self.assertTrue(text.isprintable())
