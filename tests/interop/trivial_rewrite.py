"""
Postfix's trivial-rewrite, asked over its socket.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from txmta.address import quote
from txmta.model import AddressClass

#: Bits of its answers.
ROUTED, ERROR, FAIL = 2, 4, 8
CLASSES = {
    256: AddressClass.LOCAL,
    512: AddressClass.VIRTUAL_ALIAS,
    1024: AddressClass.VIRTUAL_MAILBOX,
    2048: AddressClass.RELAY,
    4096: AddressClass.DEFAULT,
}


@dataclass(frozen=True)
class Answer:
    """
    @ivar transport: C{""}, as C{nexthop}, if no mail can go there.
    """

    address_class: AddressClass | None
    transport: str
    nexthop: str
    recipient: str
    routed: bool


#: For now nobody can say.
UNKNOWN = Answer(None, "", "", "", False)


def external(address: str) -> str:
    """
    @return: as others of Postfix's programs ask for it: a source route is not
        put in quotes.
    """
    route, colon, rest = address.partition(":")
    if colon and route.startswith("@"):
        return f"{route}:{quote(rest)}"
    return quote(address)


class Rewriter:
    """
    A connection to a trivial-rewrite.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._lines = self._read()
        next(self._lines)  # which protocol it is

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> Iterator[Mapping[str, str]]:
        buffer = b""
        while True:
            while b"\0\0" not in buffer and buffer != b"\0":
                block = self._socket.recv(65536)
                if not block:
                    return
                buffer += block
            words: list[str] = []
            # A value may be empty: two zeros in a row after a name.
            while True:
                word, _zero, buffer = buffer.partition(b"\0")
                if not word and len(words) % 2 == 0:
                    break
                words.append(word.decode())
            yield dict(zip(words[::2], words[1::2], strict=True))

    def ask(self, **attributes: str) -> Mapping[str, str]:
        request = "".join(f"{name}\0{value}\0" for name, value in attributes.items())
        self._socket.sendall(f"{request}\0".encode())
        return next(self._lines)

    def resolve(self, sender: str, address: str) -> Answer:
        found = self.ask(request="resolve", sender=sender, address=address)
        flags = int(found["flags"])
        if flags & FAIL:
            return UNKNOWN
        address_class = CLASSES[flags & ~15]
        transport, nexthop = found["transport"], found["nexthop"]
        if flags & ERROR:
            return Answer(address_class, "", "", found["recipient"], False)
        if nexthop == found["recipient"].rpartition("@")[2]:
            nexthop = nexthop.lower()  # as our next hops are
        return Answer(
            address_class,
            transport,
            nexthop,
            found["recipient"],
            bool(flags & ROUTED),
        )
