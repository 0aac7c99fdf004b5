"""
The headers of mail that leaves, changed by header checks and generic tables.

Owns: where they begin and end; that all else stays octet by octet.
Knows nothing of: what becomes of one header.

Sources: Postfix C{smtp_header_rewrite()} in C{src/smtp/smtp_proto.c}.

Errors: L{NotMapped<txmta.delivery.generic.NotMapped>}: a table cannot be asked,
or there is too much of the headers. The message must not leave as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from txmta.config.settings import Settings
from txmta.delivery.blocks import read_block
from txmta.delivery.context import AgentContext
from txmta.delivery.generic import ADDRESS_HEADERS, TURN, Generic, NotMapped
from txmta.delivery.header_checks import HeaderChecks
from txmta.events import Note, Warn
from txmta.interfaces import IContent

#: Octets of headers that are held in memory. Our own choice, forty times what
#: one header may have; where there are more, the message waits, for nothing may
#: leave unmapped.
MAX_HEAD = 4 << 20

#: Octets read at a time.
BLOCK = 1 << 16

# Header fields of the message, each with the lines that continue it.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+\n(?:[ \t][^\n]*+\n)*)")


@dataclass(frozen=True)
class OutgoingHeaders:
    """
    @ivar generic: smtp_generic_maps, if set.
    @ivar checks: smtp_header_checks, if set; they come first.
    """

    generic: Generic | None
    checks: HeaderChecks | None
    clock: IReactorTime

    async def content(self, queue_id: str, content: IContent) -> IContent:
        """
        @return: the message with its headers changed; the same object, if
            nothing changes.
        """
        head = await _read_head(content)
        new = await self._head(queue_id, head)
        return content if new == head else _Replaced(content, len(head), new)

    async def _head(self, queue_id: str, head: bytes) -> bytes:
        out: list[bytes] = []
        known: dict[str, str] = {}
        at = count = 0
        while match := _FIELD.match(head, at):
            at = match.end()
            address = match[1].lower() in ADDRESS_HEADERS
            if address or self.checks is not None:
                count += 1
                if count % TURN == 0:
                    await deferLater(self.clock, 0)
            header: bytes | None = match[0]
            if self.checks is not None:
                before, header = await self.checks.check(queue_id, match[0])
                out.append(before)
            if header is not None:
                # What is put in place of a header is looked at as that was.
                if address:
                    header = await self._mapped(header, known)
                out.append(header)
        out.append(head[at:])
        return b"".join(out)

    async def _mapped(self, header: bytes, known: dict[str, str]) -> bytes:
        match = _FIELD.match(header)
        if self.generic is None or match is None:
            return header
        before = match[2]
        value = await self.generic.header(before, known)
        return header if value is before else header[: match.start(2)] + value


def make_headers(
    context: AgentContext,
    settings: Settings,
    name: str,
    program: str,
    generic: Generic | None,
) -> OutgoingHeaders | None:
    """
    @param settings: with C{smtp_} parameters, of lmtp too.
    @param name: of the parameter with the checks.
    @param program: for the log.
    @return: L{None} if headers leave as they are.
    """
    emit, checks = context.sink.emit, None
    if items := settings.smtp_header_checks:
        checks = HeaderChecks(
            name,
            [context.table(item, name) for item in items],
            lambda text: emit(Note(program, text)),
            lambda text: emit(Warn(program, text)),
        )
    if generic is None and checks is None:
        return None
    return OutgoingHeaders(generic, checks, context.clock)


async def _read_head(content: IContent) -> bytes:
    """
    @return: at least all headers.
    """
    head = b""
    while len(head) < content.size:
        head += await read_block(content, len(head), BLOCK)
        end = head.find(b"\r\n\r\n")
        if end >= 0:
            return head[: end + 4]
        if len(head) > MAX_HEAD:
            raise NotMapped("message headers are too large to be changed")
    return head


@implementer(IContent)
class _Replaced:
    """
    A message with another beginning.
    """

    def __init__(self, inner: IContent, old: int, head: bytes) -> None:
        """
        @param old: octets of C{inner} that C{head} stands for.
        """
        self._inner = inner
        self._head = head
        self._moved = old - len(head)
        self.size = inner.size - self._moved

    def read(self, offset: int, length: int) -> bytes | Deferred[bytes]:
        """
        See L{IContent.read}.
        """
        start = self._head[offset : offset + length]
        left = length - len(start)
        if not left:
            return start
        rest = self._inner.read(offset + len(start) + self._moved, left)
        if isinstance(rest, Deferred):
            return rest.addCallback(lambda octets: start + octets)
        return start + rest

    def close(self) -> None:
        """
        See L{IContent.close}.
        """
        self._inner.close()
