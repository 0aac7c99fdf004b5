"""
Postfix's own test cases of its MIME state machine.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.mime import Kind, Mime, MimeRules, Piece, Problem

#: The limits of the program that wrote the expected results.
RULES = MimeRules(2000, 20, 2000, 1024, convert=True)

#: Files that are not walked, and why.
MISSES = {
    "header_body_checks_ignore.ref": "content checks are not built yet",
    "header_body_checks_null.ref": "content checks are not built yet",
    "header_body_checks_prepend.ref": "content checks are not built yet",
    "header_body_checks_replace.ref": "content checks are not built yet",
    "header_body_checks_strip.ref": "content checks are not built yet",
    "header_body_checks_warn.ref": "content checks are not built yet",
    "mime_global.in": "has no expected result; compared with Postfix itself",
}

_KINDS = {
    "MAIN": Kind.PRIMARY,
    "MULT": Kind.MULTIPART,
    "NEST": Kind.NESTED,
    "BODY N": Kind.BODY,
}
_LINE = re.compile(rb"(MAIN|MULT|NEST|BODY N|BODY C) \d+\t\|(.*)", re.DOTALL)

_PROBLEMS = {
    b"message header length exceeds safety limit": Problem.LONG_HEADER,
    b"MIME nesting exceeds safety limit": Problem.NESTING,
    b"improper use of 8-bit data in message header": Problem.HEADER_8BIT,
    b"improper use of 8-bit data in message body": Problem.BODY_8BIT,
    b"improper message/* or multipart/* encoding domain": Problem.ENCODING_DOMAIN,
}


def expected(text: bytes) -> tuple[list[Piece], Problem]:
    """
    @param text: what Postfix's program printed; the warnings at its end sum up.
    """
    pieces: list[Piece] = []
    problems = Problem.NONE
    for line in text.splitlines():
        found = _LINE.match(line)
        if found:
            pieces.append(Piece(_KINDS[found[1].decode()], found[2] + b"\r\n"))
        elif line == b"HEADER END":
            pieces.append(Piece(Kind.END, b""))
        elif line.startswith(b"mime_state: "):
            words = line.removeprefix(b"mime_state: warning: ")
            problems |= _PROBLEMS.get(words, Problem.NONE)
        elif line != b"BODY END":
            # The next line of a folded header.
            last = pieces.pop()
            pieces.append(Piece(last.kind, last.octets + line + b"\r\n"))
    return pieces, problems


def lines(pieces: list[Piece]) -> Iterator[Piece]:
    """
    @return: the same, with one piece a line of body.
    """
    body = b""
    for piece in pieces:
        if piece.kind is Kind.BODY:
            body += piece.octets
            continue
        yield from (Piece(Kind.BODY, line) for line in body.splitlines(True))
        body = b""
        yield piece
    yield from (Piece(Kind.BODY, line) for line in body.splitlines(True))


class MimeCases(SynchronousTestCase):
    def test_all(self) -> None:
        """
        Whole, and octet by octet.
        """
        count = 0
        for path in sorted(cases("postfix-content/mime").iterdir()):
            if path.name in MISSES or ".in" not in path.name:
                continue
            wanted, problems = expected(self._result(path).read_bytes())
            content = path.read_bytes().replace(b"\n", b"\r\n")
            for size in (len(content), 1):
                mime = Mime(RULES)
                pieces: list[Piece] = []
                for at in range(0, len(content), size):
                    pieces += mime.feed(content[at : at + size])
                pieces += mime.finish()
                self.assertEqual(list(lines(pieces)), wanted, path.name)
                self.assertEqual(mime.problems, problems, path.name)
            count += 1
        self.assertEqual(count, 12)

    def test_misses(self) -> None:
        """
        What is not walked is there, and is either named or a result.
        """
        names = {path.name for path in cases("postfix-content/mime").iterdir()}
        self.assertLessEqual(set(MISSES), names)
        walked = {n for n in names - set(MISSES) if ".in" in n}
        results = {n.replace(".in", ".ref") for n in walked}
        self.assertEqual(names - set(MISSES) - walked, results)

    def _result(self, path: Path) -> Path:
        return path.with_name(path.name.replace(".in", ".ref"))
