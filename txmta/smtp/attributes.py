"""
The attributes of XCLIENT and XFORWARD: what is said, and what it stands for.

Owns: their names, their syntax, the words of what is wrong.
Knows nothing of: who may say them, what follows.

Sources: Postfix C{XCLIENT_README}, C{XFORWARD_README}, C{smtpd/smtpd.c}
(xclient_cmd, xforward_cmd), C{global/valid_mailhost_addr.c}; RFC 3461 section 4
(xtext).

Errors: L{BadAttribute} with the reply.

@note: a command with a bad attribute changes nothing; of Postfix's, what came
    before it counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from txmta.address import valid_domain
from txmta.model import Client, Login, Reply
from txmta.smtp.commands import words
from txmta.smtp.parameters import xtext
from txmta.smtp.session import Session

#: What EHLO says of XCLIENT and of XFORWARD.
XCLIENT = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
XFORWARD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"

_UNAVAILABLE = "[UNAVAILABLE]"
_TEMPORARY = "[TEMPUNAVAIL]"
_UNKNOWN = "unknown"

_MAX_VALUE = 255
_MAX_PROTOCOL = 64
# Characters that could mean something in a header; and control characters.
_NEUTER = re.compile(r'[ <>()\\";@]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

#: name_status of L{Client}.
_OK, _TEMP, _PERM = 2, 4, 5


class BadAttribute(Exception):
    """
    @ivar reply: what to say.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(501, "5.5.4", text)


def _bad(name: str, value: str) -> BadAttribute:
    return BadAttribute(f"Bad {name} syntax: {value}")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """
    @return: names as they were written, and decoded values.
    """
    for word in words(text):
        name, _equals, value = word.partition("=")
        if not value:
            raise BadAttribute("Error: attribute=value expected")
        if len(value.encode("utf-8", "surrogateescape")) > _MAX_VALUE:
            raise BadAttribute("Error: attribute value too long")
        with suppress(ValueError):  # else Postfix takes it as it is
            value = xtext(value)
        yield name, _CONTROL.sub("?", value)


def _status(value: str) -> int:
    return {_UNAVAILABLE: _PERM, _TEMPORARY: _TEMP}.get(value.upper(), _OK)


def _available(value: str) -> bool:
    return value.upper() != _UNAVAILABLE


def mail_address(name: str, value: str, ipv6: bool) -> str:
    """
    @param name: of the attribute, for the reply.
    @param ipv6: these are taken.
    @return: an IP address in its usual form; C{IPv6:} was before one of IPv6.
    """
    six = value[:5].lower() == "ipv6:"
    try:
        if six:
            address = ipaddress.IPv6Address(value[5:])
            if ipv6 and address.scope_id is None:
                return str(address.ipv4_mapped or address)
        else:
            return str(ipaddress.IPv4Address(value))
    except ValueError:
        pass
    raise _bad(name, value)


def _port(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 5:
        raise _bad(name, value)
    port = int(value)
    return port if port < 65536 else 0


@dataclass
class _Impersonated:
    """
    A session as XCLIENT makes it.
    """

    session: Session
    ipv6: bool
    address: str = ""
    port: int = 0
    name: str = ""
    reverse_name: str = ""
    name_status: int = 0
    reverse_status: int = 0
    helo: str = ""
    protocol: str = "SMTP"
    login: Login | None = None
    server: str = ""
    server_port: int = 0

    def __post_init__(self) -> None:
        client = self.session.client
        self.address, self.port = client.address, client.port
        self.name, self.name_status = client.name, client.name_status
        self.reverse_name = client.reverse_name
        self.reverse_status = client.reverse_status
        self.server = self.session.server_address
        self.server_port = self.session.server_port

    def set_name(self, value: str) -> None:
        self.name, self.name_status = self._host("NAME", value)
        if self.name_status == _OK:
            self.reverse_name, self.reverse_status = self.name, _OK

    def set_reverse_name(self, value: str) -> None:
        self.reverse_name, self.reverse_status = self._host("REVERSE_NAME", value)

    def _host(self, name: str, value: str) -> tuple[str, int]:
        status = _status(value)
        if status != _OK:
            return _UNKNOWN, status
        if not (value.isascii() and valid_domain(value)):
            raise _bad(name, value)
        return value, _OK

    def set_addr(self, value: str) -> None:
        known = _status(value) == _OK
        self.address = mail_address("ADDR", value, self.ipv6) if known else _UNKNOWN

    def set_port(self, value: str) -> None:
        self.port = _port("PORT", value) if _available(value) else 0

    def set_helo(self, value: str) -> None:
        self.helo = _NEUTER.sub("?", value) if _available(value) else ""

    def set_proto(self, value: str) -> None:
        protocol = value.upper()
        if protocol not in ("SMTP", "ESMTP"):
            raise _bad("PROTO", value)
        self.protocol = protocol

    def set_login(self, value: str) -> None:
        self.login = Login(value, "XCLIENT") if _available(value) else None

    def set_destination(self, value: str) -> None:
        known = _status(value) == _OK
        self.server = mail_address("DESTADDR", value, self.ipv6) if known else _UNKNOWN

    def set_destination_port(self, value: str) -> None:
        self.server_port = _port("DESTPORT", value) if _available(value) else 0


_XCLIENT: Mapping[str, Callable[[_Impersonated, str], None]] = {
    "NAME": _Impersonated.set_name,
    "REVERSE_NAME": _Impersonated.set_reverse_name,
    "ADDR": _Impersonated.set_addr,
    "PORT": _Impersonated.set_port,
    "HELO": _Impersonated.set_helo,
    "PROTO": _Impersonated.set_proto,
    "LOGIN": _Impersonated.set_login,
    "DESTADDR": _Impersonated.set_destination,
    "DESTPORT": _Impersonated.set_destination_port,
}


def impersonate(session: Session, text: str, ipv6: bool = True) -> None:
    """
    Make a session that of somebody else: XCLIENT. Greeting and login are
    forgotten, but for what it says of them.

    @param text: the arguments.
    @raise BadAttribute: and the session is as before.
    """
    made = _Impersonated(session, ipv6)
    for name, value in _pairs(text):
        take = _XCLIENT.get(name.upper())
        if take is None:
            raise BadAttribute(f"Bad XCLIENT attribute name: {name}")
        take(made, value)
    session.client = Client(
        made.address,
        made.port,
        made.name,
        made.reverse_name,
        name_status=made.name_status,
        reverse_status=made.reverse_status,
    )
    session.helo, session.protocol = made.helo, made.protocol
    session.login = made.login
    session.server_address, session.server_port = made.server, made.server_port


def _forwarded_name(value: str, ipv6: bool) -> str:
    value = _NEUTER.sub("?", value)
    if not (value.isascii() and valid_domain(value)):
        raise _bad("NAME", value)
    return value


def _forwarded_addr(value: str, ipv6: bool) -> str:
    return mail_address("ADDR", _NEUTER.sub("?", value), ipv6)


def _forwarded_port(value: str, ipv6: bool) -> str:
    _port("PORT", value)
    return value


def _forwarded_word(value: str, ipv6: bool) -> str:
    return _NEUTER.sub("?", value)


def _forwarded_proto(value: str, ipv6: bool) -> str:
    if len(value) > _MAX_PROTOCOL:
        raise _bad("PROTO", value)
    return _NEUTER.sub("?", value)


def _source(value: str, ipv6: bool) -> str:
    if value.upper() not in ("LOCAL", "REMOTE"):
        raise _bad("SOURCE", value)
    return value.upper()


_XFORWARD: Mapping[str, Callable[[str, bool], str]] = {
    "NAME": _forwarded_name,
    "ADDR": _forwarded_addr,
    "PORT": _forwarded_port,
    "HELO": _forwarded_word,
    "PROTO": _forwarded_proto,
    "IDENT": _forwarded_word,
    "SOURCE": _source,
}


def forwarded(
    before: Mapping[str, str], text: str, ipv6: bool = True
) -> dict[str, str]:
    """
    @param before: what other XFORWARD commands said.
    @param text: the arguments.
    @return: that, with what this one says; C{""} for what is not available.
    @raise BadAttribute: it is malformed.
    """
    values = dict(before)
    for name, value in _pairs(text):
        take = _XFORWARD.get(name.upper())
        if take is None:
            raise BadAttribute(f"Bad XFORWARD attribute name: {name}")
        values[name.upper()] = take(value, ipv6) if _available(value) else ""
    return values
