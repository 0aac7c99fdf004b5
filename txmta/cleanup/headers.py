"""
Edit the header section of a message as octets, as it arrives.

Owns: where the header section ends; which headers are dropped, cut, counted,
    noted or completed.
Knows nothing of: what is added, envelopes, events.

What is not edited is given back octet for octet. Memory is bounded by twice
header_size_limit and the block at hand; work is linear however the octets
are cut.

Sources: RFC 5322 sections 2.2, 3.6 and 4.5 (space before the colon). Postfix:
C{global/is_header.c}, C{global/header_opts.c}, C{global/mime_state.c},
C{src/cleanup/cleanup_message.c}.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

#: Octets of a header's name, and of the white space after it. No header is
#: longer; a longer one starts the body, so that what waits stays bounded.
_NAME = rb"([!-9;-~]{1,998})([ \t]{0,998})"

# One header with its continuation lines. It is complete when we have seen the
# first octet of the next line, and that is not white space.
# Not possessive: Python 3.11.2 (Debian 12) gets a possessive group wrong here.
# Going back over it fails at once, for what follows would be white space.
_LINES = rb"[^\n]*\n(?:[ \t][^\n]*\n)*(?=[^ \t])"
_HEADER = re.compile(_NAME + b":" + _LINES)
_MAILBOX_LINE = re.compile(rb">?From [^\n]*\n")

# Where to go on after what was too long: a header, a mailbox line.
_AFTER_HEADER = re.compile(rb"\n(?=[^ \t])")
_AFTER_LINE = re.compile(rb"\n")

# What may be the start of one; group 3 says that it is.
_HEADER_START = re.compile(_NAME + rb"(?:(:)|\Z)")
_MAILBOX_START = re.compile(rb"()()(?:(>?From )|>?F?\Z|>?Fr\Z|>?Fro\Z|>?From\Z)")

_CRLF = b"\r\n"

#: What is done with a header, one bit each.
DROP, ADDRESSES, HOP, MESSAGE_ID, NOTED = 1, 2, 4, 8, 16

_MAILBOX_NAME = b"X-Mailbox-Line: "

#: How many Message-ID: headers of one message are told. One is right; Postfix
#: logs all, which lets a message fill the log.
MAX_MESSAGE_IDS = 10

_ADDRESS_HEADERS = (
    *("from", "sender", "reply-to", "to", "cc", "bcc"),
    *("resent-from", "resent-sender", "resent-reply-to"),
    *("resent-to", "resent-cc", "resent-bcc"),
    *("errors-to", "return-receipt-to", "return-path"),
    "disposition-notification-to",
    *("apparently-to", "mail-followup-to"),
)
_NOTED_HEADERS = (
    *("from", "to", "cc", "date", "message-id"),
    *("resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc"),
    *("resent-date", "resent-message-id", "resent-reply-to"),
)


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """
    @ivar actions: header name in lower case to what is done with it.
    @ivar size_limit: octets of one header, a line end being one.
    @ivar complete: completes the addresses in the value of a header, L{None}
        for "leave them".
    @ivar is_complete: whether that would change nothing between two places of
        a text, without a copy of it; true or false.
    """

    actions: Mapping[bytes, int]
    size_limit: int
    complete: Callable[[bytes], bytes] | None = None
    is_complete: Callable[[bytes, int, int], object] | None = None


def actions(drop: Iterable[str], complete: bool) -> dict[bytes, int]:
    """
    @param drop: message_drop_headers.
    @param complete: addresses are completed.
    @return: for L{HeaderRules}.
    """
    wanted = (
        (HOP, ("received",)),
        (NOTED, _NOTED_HEADERS),
        (MESSAGE_ID, ("message-id", "resent-message-id")),
        (ADDRESSES, _ADDRESS_HEADERS if complete else ()),
        (DROP, [name.rstrip(":").lower() for name in drop]),
    )
    table: dict[bytes, int] = {}
    for action, names in wanted:
        for name in names:
            key = name.encode("utf-8", "surrogateescape")
            table[key] = table.get(key, 0) | action
    return table


class HeaderSection:
    """
    The header section of one message.

    @ivar done: the section has ended.
    @ivar hops: Received: headers so far.
    @ivar seen: names, in lower case, of headers that matter for what is
        added; those that were dropped too.
    @ivar message_ids: name and value of each Message-ID:.
    """

    __slots__ = (
        *("_held", "_rules", "_skipping", "_started", "_wait"),
        *("done", "hops", "message_ids", "seen"),
    )

    def __init__(self, rules: HeaderRules) -> None:
        self.done = False
        self.hops = 0
        self.seen: set[bytes] = set()
        self.message_ids: list[tuple[bytes, bytes]] = []
        self._rules = rules
        self._held = bytearray()
        self._wait = 0
        self._skipping: re.Pattern[bytes] | None = None
        self._started = False

    def feed(self, block: bytes) -> tuple[bytes, bytes]:
        """
        @return: edited headers; and, once L{done}, what follows the section,
            the empty line included. Not to be called after that.
        """
        if self._wait or self._held:
            self._held += block
            if len(self._held) < self._wait:
                return b"", b""
            block = bytes(self._held)
            self._held.clear()
            self._wait = 0
        return self._parse(block)

    def close(self) -> tuple[bytes, bytes]:
        """
        The content has ended inside the header section.

        @return: as L{feed}.
        """
        block = bytes(self._held)
        self._held.clear()
        if not block and not self._skipping:
            self.done = True
            return b"", b""
        # An empty line ends the last header; what of it is in the rest goes.
        end = _CRLF if block.endswith(b"\n") else _CRLF + _CRLF
        head, rest = self._parse(block + end)
        assert self.done, "an empty line always ends the section"
        return head, rest[: -len(end)]

    def _parse(self, block: bytes) -> tuple[bytes, bytes]:
        at = 0
        if self._skipping is not None:
            at = self._skip(block, self._skipping)
            if not at:
                return b"", b""
        out: list[bytes] = []
        if not self._started:
            while line := _MAILBOX_LINE.match(block, at):
                out.append(self._cut(_MAILBOX_NAME + line[0]))
                at = line.end()
        kept = at  # what lies between kept and at goes out as it is
        known = self._rules.actions
        is_complete = self._rules.is_complete
        limit = self._rules.size_limit + len(_CRLF)
        while header := _HEADER.match(block, at):
            self._started = True
            end = header.end()
            name = header[1].lower()
            action = known.get(name, 0)
            if action & NOTED:
                self.seen.add(name)
            if action & (HOP | MESSAGE_ID):
                self._note(name, action, header[0])
            wanted = action & (DROP | ADDRESSES)
            if (
                wanted == ADDRESSES
                and is_complete is not None
                and is_complete(block, header.end(2) + 1, end)
            ):
                wanted = 0
            if wanted or header[2] or end - at > limit:
                out.append(block[kept:at])
                out.append(self._edit(action, header[0]))
                kept = end
            at = end
        out.append(block[kept:at])
        rest = self._stopped(block[at:], out)
        return b"".join(out), rest

    def _skip(self, block: bytes, end: re.Pattern[bytes]) -> int:
        """
        @return: where what comes after the one that was too long starts; 0
            if it is not here yet.
        """
        found = end.search(block)
        if found is None:
            self._skipping = end
            self._held += b"\n" if block.endswith(b"\n") else b""
            return 0
        self._skipping = None
        return found.end()

    def _stopped(self, rest: bytes, out: list[bytes]) -> bytes:
        """
        @param rest: does not start with a complete header.
        @return: what follows the header section, if this is its end.
        """
        if rest.startswith((_CRLF, b"\n")):  # LF: cleanup_replace_stray_cr_lf = no
            self.done = True
            return rest
        if not rest or rest == b"\r":
            self._held += rest
            return b""
        start, prefix = None, b""
        if not self._started and (start := _MAILBOX_START.match(rest)):
            prefix = _MAILBOX_NAME
        start = start or _HEADER_START.match(rest)
        if start is None:
            # No header: the body starts without an empty line.
            self.done = True
            return _CRLF + rest
        # So many octets are more than the limit, however many are line ends.
        if len(rest) <= 2 * self._rules.size_limit or start[3] is None:
            self._held += rest
            self._wait = 2 * len(rest)
            return b""
        if prefix:
            out.append(self._cut(prefix + rest))
            self._skip(rest, _AFTER_LINE)
        else:
            self._started = True
            name = start[1].lower()
            action = self._rules.actions.get(name, 0)
            if action & NOTED:
                self.seen.add(name)
            self._note(name, action, rest)
            out.append(self._edit(action, rest))
            self._skip(rest, _AFTER_HEADER)
        return b""

    def _note(self, name: bytes, action: int, header: bytes) -> None:
        if action & HOP:
            self.hops += 1
        if action & MESSAGE_ID and len(self.message_ids) < MAX_MESSAGE_IDS:
            value = self._cut(header).partition(b":")[2]
            self.message_ids.append((name, value.lstrip().rstrip(_CRLF)))

    def _edit(self, action: int, header: bytes) -> bytes:
        if action & DROP:
            return b""
        name, _, value = self._cut(header).partition(b":")
        if action & ADDRESSES and self._rules.complete is not None:
            value = self._rules.complete(value)
        return name.rstrip(b" \t") + b":" + value

    def _cut(self, header: bytes) -> bytes:
        """
        A line of which less than a tenth of the limit is left goes as a whole,
        as in Postfix 3.7.
        """
        limit = max(self._rules.size_limit, header.index(b":") + 1)
        if len(header) <= limit + len(_CRLF):
            return header
        text = header[: 2 * limit + len(_CRLF)].replace(_CRLF, b"\n")
        if len(text) <= limit + 1:
            return header
        last = text.rfind(b"\n", limit - limit // 10, limit + 1)
        kept = text[: limit if last < 0 else last]
        return kept.rstrip(_CRLF).replace(b"\n", _CRLF) + _CRLF
