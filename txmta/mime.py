"""
Follow the MIME structure of a message, and make 8-bit parts 7-bit.

Owns: where the headers of the message, of its parts and of attached messages
    start and end; which boundary ends what; which encoding a part has.
Knows nothing of: what headers are for, envelopes, who wants to know.

Content comes in wire form in blocks that are cut anywhere, and the cuts change
nothing. Memory is bounded by header_size_limit, mime_nesting_limit times
mime_boundary_length_limit, and the block at hand; work is linear in the octets
(times the nesting, for lines that start with two hyphens). All octets are
welcome.

What comes out is the content as Postfix writes it after MIME processing: the
same octets, but for over-long headers, white space before the colon of a
header, a missing empty line after the message's own headers, and the
conversion if it is asked for. A part that says it is C{8bit} or C{binary}
becomes quoted-printable, and never base64: what is text in it stays readable.
8-bit octets in a part that does not say so stay: what they are is not known.

Sources: RFC 2045 sections 5, 6.1, 6.4 and 6.7, RFC 2046 section 5.1; Postfix
C{global/mime_state.c}, C{global/header_token.c}, C{global/is_header.c}.

Errors: none; what is odd is told by L{Mime.problems}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, Flag
from typing import NamedTuple

from txmta.mime_fields import MediaType, Part, content_encoding, content_type
from txmta.quoted_printable import QuotedPrintable


class Kind(Enum):
    """
    What a piece of content is.

    The three kinds of headers are those of header_checks, mime_header_checks
    and nested_header_checks.
    """

    PRIMARY = "header of the message"
    MULTIPART = "header of a part"
    NESTED = "header of an attached message"
    BODY = "anything else"
    END = "there are no more primary headers"


class Problem(Flag):
    """
    What is odd; Postfix refuses some of it if told to (strict_8bitmime ...).
    """

    NONE = 0
    NESTING = 1
    LONG_HEADER = 2
    HEADER_8BIT = 4
    BODY_8BIT = 8
    ENCODING_DOMAIN = 16


class Piece(NamedTuple):
    """
    @ivar octets: a whole header with its line end; or body, cut anywhere.
    """

    kind: Kind
    octets: bytes


@dataclass(frozen=True, slots=True)
class MimeRules:
    """
    @ivar header_size_limit: octets of one header, of which the line (or piece
        of C{line_length_limit}) that crosses it is still kept.
    @ivar nesting_limit: boundaries that are looked for at once.
    @ivar boundary_length_limit: octets of a boundary that count.
    @ivar line_length_limit: octets of a line that are looked at together.
    @ivar parts: look into parts and attached messages.
    @ivar convert: make 8-bit parts quoted-printable.
    """

    header_size_limit: int = 102400
    nesting_limit: int = 100
    boundary_length_limit: int = 2048
    line_length_limit: int = 2048
    parts: bool = True
    convert: bool = False


class _Boundary(NamedTuple):
    text: bytes
    default: MediaType


_PLAIN = Part()

# RFC 5322 section 2.2, and white space before the colon (section 4.5).
_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*(?=:)")


class Mime:
    """
    The structure of one message.

    @ivar problems: all that was odd so far.
    """

    __slots__ = (
        *("_encoder", "_fresh", "_header", "_held", "_kind", "_length"),
        *("_part", "_rules", "_stack", "problems"),
    )

    def __init__(self, rules: MimeRules) -> None:
        self.problems = Problem.NONE
        self._rules = rules
        self._kind = Kind.PRIMARY  # what the next line may be
        self._part = _PLAIN
        self._stack: list[_Boundary] = []  # innermost last
        self._held = b""  # too little to decide on
        self._fresh = True  # at the start of a line
        self._header: list[bytes] = []  # without line ends
        self._length = 0  # octets of it, a line end being one
        self._encoder = QuotedPrintable()

    def feed(self, block: bytes) -> list[Piece]:
        """
        @return: what is known now; perhaps nothing.
        """
        data = self._held + block if self._held else block
        pieces: list[Piece] = []
        self._held = data[self._advance(data, False, pieces) :]
        return pieces

    def finish(self) -> list[Piece]:
        """
        The content has ended.
        """
        data, self._held = self._held, b""
        pieces: list[Piece] = []
        self._advance(data, True, pieces)
        if self._kind is not Kind.BODY:
            self._end_headers(pieces)
        if rest := self._encoder.finish():
            pieces.append(Piece(Kind.BODY, rest))
        return pieces

    def eight_bit_header(self) -> bool:
        """
        The content has ended; what it is made of does not matter.

        @return: whether a header had an octet that is not ASCII.
        """
        self.finish()
        return Problem.HEADER_8BIT in self.problems

    def _advance(self, data: bytes, last: bool, pieces: list[Piece]) -> int:
        """
        @return: how far it got; the rest is needed again.
        """
        at, end = 0, len(data)
        while at < end:
            if self._kind is Kind.BODY and not self._maybe_boundary(data, at):
                at = self._body(data, at, last, pieces)
                if at < end and not self._fresh:
                    break
                continue
            record = self._record(data, at, last)
            if not record:
                break
            if self._kind is Kind.BODY:
                self._boundary(record, pieces)
            elif not self._in_headers(record, pieces):
                continue
            self._fresh = record.endswith(b"\n")
            at += len(record)
        return at

    def _maybe_boundary(self, data: bytes, at: int) -> bool:
        return self._fresh and bool(self._stack) and b"--".startswith(data[at : at + 2])

    def _record(self, data: bytes, at: int, last: bool) -> bytes:
        """
        @return: a line with its end, or as much of a long one as is looked at
            together; C{b""} if that is not there yet.
        """
        limit = at + self._rules.line_length_limit
        newline = data.find(b"\n", at, limit)
        if newline >= 0:
            return data[at : newline + 1]
        if not last and len(data) < limit:
            return b""
        # A CR stays with what may be its LF.
        record = data[at:limit]
        return record if last else record.removesuffix(b"\r")

    # Headers

    def _in_headers(self, record: bytes, pieces: list[Piece]) -> bool:
        """
        @return: whether the record is dealt with: no if it starts a body
            without an empty line before it.
        """
        text = _text(record)
        if self._header:
            if not self._fresh:
                self._add(text, 0)
                return True
            if record[:1] in (b" ", b"\t"):
                self._add(b"\r\n" + text, 1)
                return True
            self._end_header(pieces)
        if name := _HEADER.match(text):
            self._header = [name[1], text[name.end() :]]
            self._length = len(name[1]) + len(text) - name.end()
            return True
        self._end_headers(pieces)
        part = self._part
        if text:
            # In a part, an empty line more would break signatures.
            if self._kind is Kind.PRIMARY:
                pieces.append(Piece(Kind.BODY, b"\r\n"))
            self._kind = Kind.BODY
            return False
        # message/global is the one message that may be encoded as a whole.
        whole = part.type is MediaType.GLOBAL and self._converting
        if part.type in (MediaType.RFC822, MediaType.GLOBAL) and not whole:
            self._kind, self._part = Kind.NESTED, _PLAIN
        else:
            self._kind = Kind.BODY
            if part.type is MediaType.MULTIPART:
                self._part = _PLAIN
        pieces.append(Piece(Kind.BODY, record))
        return True

    def _add(self, text: bytes, ends: int) -> None:
        if self._length < self._rules.header_size_limit:
            self._header.append(text)
            self._length += len(text) - ends
        else:
            self.problems |= Problem.LONG_HEADER

    def _end_header(self, pieces: list[Piece]) -> None:
        header = b"".join(self._header)
        self._header.clear()
        name, _, value = header.partition(b":")
        name = name.lower()
        if not header.isascii():
            self.problems |= Problem.HEADER_8BIT
        if self._rules.parts:
            if name == b"content-type":
                self._content_type(value)
            elif name == b"content-transfer-encoding":
                said = content_encoding(value)
                if said is not None:
                    encoding, domain = said
                    self._part = self._part._replace(encoding=encoding, domain=domain)
                if self._converting:
                    return
        pieces.append(Piece(self._kind, header + b"\r\n"))

    def _end_headers(self, pieces: list[Piece]) -> None:
        if self._header:
            self._end_header(pieces)
        part = self._part
        whole = part.type in (MediaType.MULTIPART, MediaType.MESSAGE, MediaType.RFC822)
        if self._converting:
            word = b"7bit" if whole else b"quoted-printable"
            header = b"Content-Transfer-Encoding: " + word + b"\r\n"
            pieces.append(Piece(self._kind, header))
        if self._kind is Kind.PRIMARY:
            pieces.append(Piece(Kind.END, b""))
        wrong = part.encoding != (b"7bit" if part.split else part.domain)
        if wrong and whole:
            self.problems |= Problem.ENCODING_DOMAIN

    def _content_type(self, value: bytes) -> None:
        said = content_type(value)
        if said is None:
            return
        self._part = self._part._replace(type=said.type, split=said.split)
        for text in said.boundaries:
            if len(self._stack) > self._rules.nesting_limit:
                self.problems |= Problem.NESTING
            else:
                text = text[: self._rules.boundary_length_limit]
                self._stack.append(_Boundary(text, said.default))

    # Bodies

    @property
    def _converting(self) -> bool:
        return self._rules.convert and self._part.domain != b"7bit"

    def _body(self, data: bytes, at: int, last: bool, pieces: list[Piece]) -> int:
        """
        Pass on all that is certainly no boundary.

        @return: where it ends.
        """
        end = len(data)
        if self._stack:
            found = data.find(b"\n--", at)
            end = found + 1 if found >= 0 else end
        if end == len(data) and not last and data.endswith(b"\r"):
            end -= 1
        if end > at:
            self._fresh = data[end - 1] == 10
            self._pass_on(data[at:end], pieces)
        else:
            self._fresh = False
        return end

    def _boundary(self, record: bytes, pieces: list[Piece]) -> None:
        for depth in range(len(self._stack) - 1, -1, -1):
            boundary = self._stack[depth]
            if not record.startswith(boundary.text, 2) or record[:2] != b"--":
                continue
            if record.startswith(b"--", 2 + len(boundary.text)):
                del self._stack[depth:]
                self._part = _PLAIN
            else:
                del self._stack[depth + 1 :]
                self._kind = Kind.MULTIPART
                self._part = Part(boundary.default)
            break
        self._pass_on(record, pieces)

    def _pass_on(self, octets: bytes, pieces: list[Piece]) -> None:
        if self._part.encoding == b"7bit" and not octets.isascii():
            self.problems |= Problem.BODY_8BIT
        if self._converting:
            octets = self._encoder.feed(octets)
        if octets:
            pieces.append(Piece(Kind.BODY, octets))


def _text(record: bytes) -> bytes:
    """
    @return: a line without its end.
    """
    if record.endswith(b"\r\n"):
        return record[:-2]
    return record.removesuffix(b"\n")
