"""
XFORWARD, as a client says it: where a message came from.

Owns: which attributes are told to whom, and how they are written.
Knows nothing of: who is told at all (smtp_send_xforward_command).

Sources: Postfix C{XFORWARD_README}, C{src/smtp/smtp_proto.c}; RFC 3461 section 4
(xtext).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Collection

from txmta.config.settings import Settings
from txmta.model import LOCAL_CLIENT, Envelope

_ADDRESS = ("NAME", "ADDR", "PORT")
_PROTOCOL = ("PROTO", "HELO", "IDENT", "SOURCE")
_ATTRIBUTES = frozenset((*_ADDRESS, *_PROTOCOL))


def offered(value: str) -> frozenset[str]:
    """
    @param value: what follows XFORWARD in an EHLO answer.
    @return: the attributes that we know.
    """
    return _ATTRIBUTES.intersection(value.upper().split())


def ignored(settings: Settings) -> frozenset[str]:
    """
    @return: EHLO keywords that are as if no server said them, in upper case.
    """
    words = frozenset(word.upper() for word in settings.smtp_discard_ehlo_keywords)
    return words if settings.smtp_send_xforward_command else words | {"XFORWARD"}


def _known(envelope: Envelope) -> dict[str, str]:
    """
    @return: what is known, by attribute; the client's own word on it, or ours.
    """
    client = envelope.client
    known = {
        "NAME": client.name,
        "ADDR": client.address,
        "PORT": str(client.port or ""),
        "PROTO": envelope.protocol,
        "HELO": envelope.helo,
    }
    local = envelope.local_origin or client == LOCAL_CLIENT
    if envelope.forwarded:
        # As Postfix: of what it did not say, nothing is known.
        known = dict(envelope.forwarded)
    elif client == LOCAL_CLIENT:
        known = {}
    if ":" in known.get("ADDR", ""):
        known["ADDR"] = f"IPv6:{known['ADDR']}"
    known["IDENT"] = known.get("IDENT") or envelope.queue_id
    known["SOURCE"] = "LOCAL" if local else "REMOTE"
    return {n: value for n, value in known.items() if value not in ("", "unknown")}


def xtext(text: str) -> str:
    """
    @return: text as the value of an attribute.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(
        chr(c) if 33 <= c <= 126 and c != 43 else f"+{c:02X}" for c in octets
    )


def xforward(envelope: Envelope, taken: Collection[str]) -> list[str]:
    """
    @param taken: attributes that the server takes.
    @return: no command, one, or two.
    """
    if not taken:
        return []
    known = _known(envelope)
    commands: list[str] = []
    for group in (_ADDRESS, _PROTOCOL):
        said = [
            f"{name}={xtext(known[name])}"
            for name in group
            if name in taken and name in known
        ]
        if said:
            commands.append(" ".join(("XFORWARD", *said)))
    return commands
