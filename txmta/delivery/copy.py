"""
The octets of a mailbox file: headers put before the content, line ends.

Owns: Return-Path, X-Original-To and Delivered-To of a delivery; CRLF to LF;
    finding the Delivered-To lines that a message brought along.
Knows nothing of: files, which addresses these are.

Sources: Postfix C{global/mail_copy.c}, C{global/delivered_hdr.c}.

Errors: none; any octets are content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from txmta.address import quote

#: Delivered-To lines that are looked at, as Postfix's DELIVERED_HDR_LIMIT.
MAX_DELIVERED = 1000

_DELIVERED = re.compile(rb"^delivered-to:[ \t]*([^\r\n]*)", re.IGNORECASE | re.M)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Stamp:
    """
    The headers of one delivery.

    @ivar sender: envelope sender, internal form.
    @ivar original: for X-Original-To, or C{""} for none.
    @ivar delivered: for Delivered-To, or C{""} for none.
    """

    sender: str
    original: str
    delivered: str

    def encode(self) -> bytes:
        """
        @return: header lines with LF, in Postfix's order.
        """
        lines = f"Return-Path: <{external(self.sender)}>\n"
        if self.original:
            lines += f"X-Original-To: {external(self.original)}\n"
        if self.delivered:
            lines += f"Delivered-To: {external(self.delivered)}\n"
        return _octets(lines)


def delivered_head(delivered: str) -> bytes:
    """
    @return: the Delivered-To line of a forwarded message, in wire form and,
        as Postfix writes it there, in lower case.
    """
    return _octets(f"Delivered-To: {external(delivered.lower())}\r\n")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def external(address: str) -> str:
    """
    @return: an address as it stands in a header.
    """
    # A line end in an address would start another header, even inside quotes.
    return _CONTROL.sub("?", quote(address))


def delivered_key(address: str) -> bytes:
    """
    @return: what L{delivered_to} has for this address.
    """
    return _octets(external(address)).lower()


def delivered_to(head: bytes) -> frozenset[bytes]:
    """
    @param head: the start of the content, in wire form; only what comes
        before the first empty line is looked at.
    @return: the addresses of its Delivered-To lines, see L{delivered_key}.
    """
    end = 0 if head.startswith(b"\r\n") else head.find(b"\r\n\r\n")
    if end >= 0:
        head = head[:end]
    found: set[bytes] = set()
    for match in _DELIVERED.finditer(head):
        found.add(match[1].rstrip().lower())
        if len(found) >= MAX_DELIVERED:
            break
    return frozenset(found)


def to_lines(content: bytes) -> bytes:
    """
    Whole content, CRLF to LF; an incomplete last line is ended.
    """
    lines = content.replace(b"\r\n", b"\n")
    return lines if lines.endswith(b"\n") or not lines else lines + b"\n"


class LineEnds:
    """
    L{to_lines} for content that comes in blocks cut anywhere.
    """

    def __init__(self) -> None:
        self._cr = b""
        self._last = b"\n"

    def feed(self, block: bytes) -> bytes:
        """
        @return: what can be written now; at most one octet is kept back.
        """
        block = self._cr + block
        self._cr = b""
        if block.endswith(b"\r"):
            self._cr, block = b"\r", block[:-1]
        lines = block.replace(b"\r\n", b"\n")
        self._last = lines[-1:] or self._last
        return lines

    def finish(self) -> bytes:
        """
        @return: what is left to write.
        """
        if self._cr:
            return b"\r\n"
        return b"" if self._last == b"\n" else b"\n"
