"""
Tests of L{txmta.mime}: the structure of messages, and the conversion.
"""

from __future__ import annotations

import quopri
import time
import tracemalloc
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txmta.mime import Kind, Mime, MimeRules, Piece, Problem

CONVERT = MimeRules(convert=True)


def run(content: bytes, rules: MimeRules = CONVERT, size: int = 0) -> Mime:
    """
    @return: the machine, after all of it.
    """
    mime, _ = read(content, rules, size)
    return mime


def read(
    content: bytes, rules: MimeRules = CONVERT, size: int = 0
) -> tuple[Mime, list[Piece]]:
    mime = Mime(rules)
    pieces: list[Piece] = []
    size = size or len(content) or 1
    for at in range(0, len(content), size):
        pieces += mime.feed(content[at : at + size])
    return mime, pieces + mime.finish()


def converted(content: bytes, rules: MimeRules = CONVERT, size: int = 0) -> bytes:
    return b"".join(piece.octets for piece in read(content, rules, size)[1])


def headers(content: bytes, kind: Kind, rules: MimeRules = CONVERT) -> list[bytes]:
    return [p.octets for p in read(content, rules)[1] if p.kind is kind]


#: What messages are made of; random octets alone never make a boundary.
FRAGMENTS = st.sampled_from(
    (
        *(b"\r\n", b"\r\n\r\n", b"\r", b"\n", b" ", b"\t", b"=", b"\0", b"--", b"-"),
        *(b"--b", b"--b--", b"--a\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"text"),
        *(b"\xc3\xa9", b"\xff", b"x" * 70, b"X: y\r\n", b"X : y\r\n", b"From x\r\n"),
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b'Content-Type: multipart/digest; boundary="a"\r\n',
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/plain\r\n",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"content-transfer-encoding: binary\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
    )
)
CONTENT = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=5)), max_size=30).map(
    b"".join
)
RULES = st.builds(
    MimeRules,
    header_size_limit=st.sampled_from((1, 20, 102400)),
    nesting_limit=st.sampled_from((0, 1, 100)),
    boundary_length_limit=st.sampled_from((1, 2048)),
    line_length_limit=st.sampled_from((60, 2048)),
    parts=st.booleans(),
    convert=st.booleans(),
)

MULTIPART = (
    b"Content-Type: multipart/mixed; boundary=b\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    b"prologue\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9 = x \r\n"
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nend\r\n"
)


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(CONTENT, RULES, st.lists(st.integers(0, 700), max_size=12))
    def test_cuts(self, content: bytes, rules: MimeRules, cuts: list[int]) -> None:
        """
        All content is welcome, and the cuts between blocks change nothing.
        """
        whole, pieces = read(content, rules)
        mime = Mime(rules)
        out: list[Piece] = []
        edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
        for start, end in pairwise(edges):
            out += mime.feed(content[start:end])
        out += mime.finish()
        self.assertEqual(joined(out), joined(pieces))
        self.assertEqual(mime.problems, whole.problems)

    @settings(max_examples=300, deadline=None)
    @given(CONTENT)
    def test_unchanged(self, content: bytes) -> None:
        """
        Without conversion the body, and headers in good form, stay as they are.
        """
        content = content.replace(b"X : y", b"X: y").replace(b"\r", b"")
        content = b"Subject: x\r\n\r\n" + content.replace(b"\n", b"\r\n")
        for kind in (b"", b"Content-Type: multipart/x; boundary=b\r\n"):
            out = converted(kind + content, MimeRules())
            want = kind + content
            if out != want:
                # A header that ends with the content gets its line end.
                self.assertEqual(out, want + b"\r\n")

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.binary(max_size=200)))
    def test_quoted_printable(self, lines: list[bytes]) -> None:
        """
        What the standard library makes of it is the content, whatever that
        was, and what is sent is 7-bit in lines of at most 76 octets.
        """
        body = b"".join(
            line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" for line in lines
        )
        head = b"Content-Transfer-Encoding: binary\r\n\r\n"
        start, _, rest = converted(head + body).partition(b"\r\n\r\n")
        self.assertEqual(start, b"Content-Transfer-Encoding: quoted-printable")
        self.assertTrue(rest.isascii())
        self.assertLessEqual(max(map(len, rest.splitlines()), default=0), 76)
        self.assertEqual(
            quopri.decodestring(rest.replace(b"\r\n", b"\n")),
            body.replace(b"\r\n", b"\n"),
        )

    def test_memory(self) -> None:
        """
        Neither endless headers nor endless boundaries or lines are kept.
        """
        block = b"x" * 65536
        for head in (
            b"Subject: ",
            b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            b"Content-Type: multipart/mixed; boundary=",
        ):
            mime = Mime(CONVERT)
            mime.feed(head)
            tracemalloc.start()
            for _ in range(100):
                mime.feed(block)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertLess(peak, 2_000_000, head)

    def test_linear(self) -> None:
        """
        Nothing in a header of the greatest size, or in a body, takes more than
        linear time.
        """
        multipart = b"Content-Type: multipart/x; boundary=b"
        quoted = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
        for start, piece in (
            *((multipart + b'; x="', each) for each in (b" ", b"\\", b"\r\n ", b'"')),
            *(
                (multipart + b"; x=", each)
                for each in (b"(", b"()", b";", b"boundary=b;")
            ),
            (b"Content-Transfer-Encoding:", b" "),
            (multipart + b"\r\n\r\n", b"--x\r\n"),
            (multipart + b"\r\n\r\n", b"--b\r\n"),
            (multipart + b"\r\n\r\n", b"-"),
            *((quoted, each) for each in (b"\xff", b"x", b" ", b"=", b"\r\n", b"\r")),
        ):
            costs = []
            for size in (25_000, 100_000):
                content = start + piece * (size // len(piece)) + b"\r\n\r\n"
                costs.append(min(cost(content) for _ in range(3)))
            # Four times the size; a square law would give 16. Small times
            # are noise.
            self.assertLess(costs[1], max(9 * costs[0], 1.0), (start, piece))


def cost(content: bytes) -> float:
    """
    @return: seconds of CPU of this thread.
    """
    began = time.thread_time()
    converted(content, size=10_000)
    return time.thread_time() - began


def joined(pieces: list[Piece]) -> list[tuple[Kind, bytes]]:
    """
    @return: body in one piece as long as nothing comes between.
    """
    out: list[tuple[Kind, bytes]] = []
    for kind, octets in pieces:
        if kind is Kind.BODY and out and out[-1][0] is Kind.BODY:
            out[-1] = (kind, out[-1][1] + octets)
        else:
            out.append((kind, octets))
    return out


class StructureTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """
        Headers of the message, of a part and of an attached message.
        """
        content = (
            b"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: nested\r\n\r\nx\r\n"
            b"--b\r\nX: part\r\n\r\nNo: header\r\n"
        )
        self.assertEqual(len(headers(content, Kind.PRIMARY)), 2)
        self.assertEqual(headers(content, Kind.NESTED), [b"Subject: nested\r\n"])
        self.assertEqual(headers(content, Kind.MULTIPART)[1:], [b"X: part\r\n"])

    def test_digest(self) -> None:
        """
        Parts of a digest are messages unless they say otherwise.
        """
        content = (
            b"Content-Type: multipart/digest; boundary=b\r\n\r\n"
            b"--b\r\n\r\nSubject: nested\r\n\r\n"
        )
        self.assertEqual(headers(content, Kind.NESTED), [b"Subject: nested\r\n"])

    def test_no_parts(self) -> None:
        """
        C{parts=False} is disable_mime_input_processing: all but the headers
        of the message is body.
        """
        rules = MimeRules(parts=False, convert=True)
        self.assertEqual(headers(MULTIPART, Kind.MULTIPART, rules), [])
        self.assertEqual(converted(MULTIPART, rules), MULTIPART)

    def test_boundary_forms(self) -> None:
        """
        Quoted, folded, with comments; cruft after it does not matter.
        """
        for text in (b'"a b"', b'"a\\ b"', b'(c (d)) "a b" (e)', b'"a\r\n b"'):
            content = (
                b"Content-Type: Multipart/Mixed; x=y; BOUNDARY = " + text + b"\r\n\r\n"
                b"--a b, and cruft\r\nX: y\r\n\r\n"
            )
            self.assertEqual(headers(content, Kind.MULTIPART), [b"X: y\r\n"], text)

    def test_nesting(self) -> None:
        """
        A boundary too deep is not looked for.
        """
        part = b"Content-Type: multipart/x; boundary=%d\r\n\r\n--%d\r\n"
        content = b"".join(part % (n, n) for n in range(5)) + b"X: y\r\n\r\n"
        self.assertEqual(headers(content, Kind.MULTIPART)[-1], b"X: y\r\n")
        rules = MimeRules(nesting_limit=2)
        self.assertNotIn(b"X: y\r\n", headers(content, Kind.MULTIPART, rules))
        self.assertEqual(run(content, rules).problems, Problem.NESTING)

    def test_boundary_length(self) -> None:
        content = (
            b"Content-Type: multipart/x; boundary=abcdef\r\n\r\n"
            b"--abcxyz\r\nX: y\r\n\r\n"
        )
        self.assertEqual(headers(content, Kind.MULTIPART), [])
        rules = MimeRules(boundary_length_limit=3)
        self.assertEqual(headers(content, Kind.MULTIPART, rules), [b"X: y\r\n"])

    def test_long_header(self) -> None:
        """
        The line that crosses the limit stays whole; what follows goes.
        """
        content = b"X: 1\r\n 12345678\r\n too much\r\nY: z\r\n\r\n"
        rules = MimeRules(header_size_limit=10)
        self.assertEqual(
            converted(content, rules), b"X: 1\r\n 12345678\r\nY: z\r\n\r\n"
        )
        self.assertEqual(run(content, rules).problems, Problem.LONG_HEADER)

    def test_garbage(self) -> None:
        """
        After the message's own headers an empty line is put in, but in no
        part: that would break signatures.
        """
        self.assertEqual(converted(b"X: y\r\ntext\r\n"), b"X: y\r\n\r\ntext\r\n")
        part = b"Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\nX: y\r\ntext\r\n"
        self.assertEqual(converted(part), part)

    def test_problems(self) -> None:
        kind, label = b"Content-Type: ", b"\r\nContent-Transfer-Encoding: "
        cases = {
            b"X: \xff\r\n\r\n": Problem.HEADER_8BIT,
            b"X: y\r\n\r\n\xff\r\n": Problem.BODY_8BIT,
            kind
            + b"message/partial"
            + label
            + b"8bit\r\n\r\n": Problem.ENCODING_DOMAIN,
            kind + b"multipart/x" + label + b"base64\r\n\r\n": Problem.ENCODING_DOMAIN,
            MULTIPART: Problem.NONE,
        }
        for content, problem in cases.items():
            self.assertEqual(run(content).problems, problem, content)


class ConversionTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        Only the part that is 8-bit becomes quoted-printable; what contains it
        is 7-bit now; the header goes last.
        """
        self.assertEqual(
            converted(MULTIPART),
            b"Content-Type: multipart/mixed; boundary=b\r\n"
            b"Content-Transfer-Encoding: 7bit\r\n\r\n"
            b"prologue\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            b"caf=C3=A9 =3D x=20\r\n"
            b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nend\r\n",
        )

    def test_not_declared(self) -> None:
        """
        8-bit octets that no header speaks of stay: what they are is not known.
        """
        content = b"Subject: \xc3\xa9\r\n\r\n\xc3\xa9\r\n"
        self.assertEqual(converted(content), content)

    def test_no_final_line_end(self) -> None:
        head = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
        self.assertTrue(converted(head + b"\xe9 ").endswith(b"\r\n\r\n=E9=20"))
