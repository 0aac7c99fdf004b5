"""
The lines of Dovecot's authentication protocol, the client's side.

Owns: their syntax, what may come in the handshake, what is said of a request.
Knows nothing of: sockets, which request is whose.

Sources: Dovecot's documentation of the authentication protocol, version 1.2;
Postfix C{xsasl/xsasl_dovecot_server.c}.

Errors: L{WrongLine}.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from txmta.smtp.sasl.moves import Challenge, Done, Facts, Failed, Mechanism, Move

#: The major version that we speak.
VERSION = 1

#: Octets of a line: Dovecot's own limit, and room for a response of 12288.
MAX_LINE = 16384

#: Lines of a handshake; there are about ten.
MAX_LINES = 200

_PROPERTIES = frozenset(
    (
        *("anonymous", "plaintext", "dictionary", "active"),
        *("forward-secrecy", "mutual-auth", "private"),
    )
)

#: Words in which Dovecot says that somebody is not let in for now.
_BROKEN = "Authentication backend error"


class WrongLine(Exception):
    """
    This is not Dovecot, or not one that we understand.
    """


class Handshake:
    """
    What Dovecot says first.

    @ivar mechanisms: that it has.
    @ivar done: it is complete.
    """

    def __init__(self) -> None:
        self.mechanisms: list[Mechanism] = []
        self.done = False
        self._version = False
        self._lines = 0

    def line(self, line: str) -> None:
        """
        @raise WrongLine: what it says.
        """
        self._lines += 1
        if self._lines > MAX_LINES:
            raise WrongLine("too many lines")
        word, *rest = line.split("\t")
        if word == "VERSION":
            if rest[:1] != [str(VERSION)]:
                raise WrongLine(f"protocol version {rest[:1]}, not {VERSION}")
            self._version = True
        elif word == "MECH" and rest:
            name = rest[0].upper()
            if name.isascii() and name.replace("-", "").replace("_", "").isalnum():
                found = frozenset(rest[1:]) & _PROPERTIES
                if "private" not in found:
                    self.mechanisms.append(Mechanism(name, found))
        elif word == "SPID" and not self.mechanisms:
            raise WrongLine("this is auth-master, not auth-client")
        elif word == "DONE":
            if not self._version:
                raise WrongLine("it says no version")
            self.done = True


def greeting(pid: int) -> bytes:
    """
    @param pid: of this process.
    """
    return f"VERSION\t{VERSION}\t1\nCPID\t{pid}\n".encode()


def escape(text: str) -> str:
    """
    @return: as a value is written.
    """
    table = {"\1": "\0011", "\0": "\0010", "\t": "\1t", "\r": "\1r", "\n": "\1n"}
    return "".join(table.get(c, c) for c in text)


def request(
    number: int, mechanism: str, service: str, facts: Facts, response: bytes | None
) -> bytes:
    """
    @return: the line that starts an attempt.
    """
    session = facts.session
    host, port = facts.local
    words = ["AUTH", str(number), mechanism, f"service={escape(service)}", "nologin"]
    # Dovecot wants lip and rip.
    words += [f"lip={escape(host)}"] if host else []
    words.append(f"rip={escape(session.client.address)}")
    words += [f"lport={port}"] if port else []
    words += [f"rport={session.client.port}"] if session.client.port else []
    if session.tls is not None:
        words.append("secured=tls")
        if session.tls.trusted:
            words.append("valid-client-cert")
            words += _certificate_name(session.tls.subject)
    if response is not None:
        # The last: everything after it is taken for it.
        words.append(f"resp={base64.b64encode(response).decode() or '='}")
    return "\t".join(words).encode() + b"\n"


def _certificate_name(name: str) -> Sequence[str]:
    return [f"cert_username={escape(name)}"] if name else []


def response(number: int, octets: bytes) -> bytes:
    """
    @return: the line that goes on with one.
    """
    return f"CONT\t{number}\t{base64.b64encode(octets).decode()}\n".encode()


def cancel(number: int) -> bytes:
    """
    @return: the line that ends one.
    """
    return f"CANCEL\t{number}\n".encode()


def read(line: str) -> tuple[int, Move] | None:
    """
    @return: which attempt it is about, and what becomes of it; L{None}: it is
        about none.
    @raise WrongLine: it is malformed.
    """
    word, *rest = line.split("\t")
    if word not in ("OK", "CONT", "FAIL"):
        return None
    if not rest or not (rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 12):
        raise WrongLine("no number")
    number = int(rest[0])
    if word == "CONT":
        try:
            return number, Challenge(base64.b64decode(rest[1], validate=True))
        except (IndexError, binascii.Error):
            raise WrongLine("no challenge") from None
    values = _values(rest[1:])
    name = values.get("user")
    if word == "OK":
        if not name:
            raise WrongLine("no user")
        return number, Done(name)
    return number, _failed(values, name)


def _values(words: Sequence[str]) -> Mapping[str, str]:
    pairs = (word.partition("=") for word in words)
    return {key: _unescape(value) for key, _equals, value in pairs}


def _unescape(text: str) -> str:
    if "\1" not in text:
        return text
    head, *parts = text.split("\1")
    table = {"1": "\1", "0": "\0", "t": "\t", "r": "\r", "n": "\n"}
    return head + "".join(table.get(p[:1], p[:1]) + p[1:] for p in parts)


def _failed(values: Mapping[str, str], name: str | None) -> Failed:
    reason = values.get("reason", "")
    if "temp" in values:
        return Failed(reason or _BROKEN, name, temporary=True)
    return Failed(reason, name)
