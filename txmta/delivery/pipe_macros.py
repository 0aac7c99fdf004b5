"""
The arguments of a command of pipe(8): C{$name} and its kin.

Owns: which macros there are, what they stand for, how often an argument is
    repeated.
Knows nothing of: commands being run.

What a macro stands for is never expanded again, and is never more or less
than (a part of) one argument, whatever is in it.

Sources: pipe(8); Postfix C{pipe/pipe.c}, C{util/mac_parse.c},
C{global/fold_addr.c}. Debian's Postfix is the oracle of the tests.

Errors: C{ValueError}: an argument cannot be understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from txmta.address import quote
from txmta.model import DeliveryRequest, Recipient
from txmta.search import split_extension

#: Macros that make an argument stand for each recipient.
OF_RECIPIENT = frozenset(
    ("recipient", "original_recipient", "user", "extension", "mailbox", "domain")
)

#: Macros that are the same for all recipients.
OF_REQUEST = frozenset(
    (
        "client_address",
        "client_helo",
        "client_hostname",
        "client_port",
        "client_protocol",
        "envid",
        "nexthop",
        "queue_id",
        "sasl_method",
        "sasl_sender",
        "sasl_username",
        "sender",
        "size",
    )
)

_MACRO = re.compile(r"\$(?:(\$)|\{\s*(\w+)\s*\}|\(\s*(\w+)\s*\)|(\w+))|(\$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Addresses:
    """
    How addresses are written.

    @ivar quoted: flag q: local parts are quoted where RFC 822 wants it.
    @ivar fold_user: flag u: local parts are in lower case.
    @ivar fold_host: flag h: domains are in lower case.
    @ivar null_sender: stands for the null sender.
    @ivar delimiters: recipient_delimiter.
    @ivar owner_request_special: the parameter.
    @ivar originals: enable_original_recipient.
    """

    quoted: bool = False
    fold_user: bool = False
    fold_host: bool = False
    null_sender: str = "MAILER-DAEMON"
    delimiters: str = ""
    owner_request_special: bool = True
    originals: bool = True

    def fold(self, address: str) -> str:
        """
        @return: with the case that the flags want.
        """
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = address, ""
        if self.fold_user:
            local = local.casefold()
        if self.fold_host:
            domain = domain.casefold()
        return local + at + domain

    def original(self, recipient: Recipient) -> str:
        """
        @return: the address before aliases, or C{""} if it is not to be known.
        """
        return (recipient.original or recipient.address) if self.originals else ""

    def write(self, address: str) -> str:
        """
        @return: a whole address, with the quotes and case that the flags want.
        """
        return self.fold(quote(address) if self.quoted and address else address)


def check(argument: str) -> None:
    """
    @raise ValueError: a macro is unknown, or a C{$} starts none.
    """
    for name in _names(argument):
        if name not in OF_RECIPIENT and name not in OF_REQUEST:
            known = ", ".join(sorted(OF_RECIPIENT | OF_REQUEST))
            raise ValueError(f"unknown macro name: {name}: write one of {known}")


def arguments(
    command: Iterable[str], request: DeliveryRequest, addresses: Addresses
) -> Iterator[str]:
    """
    @param command: checked.
    @return: what the program gets.
    """
    common = of_request(request, addresses)
    each = [of_recipient(r, addresses) for r in request.recipients]
    for argument in command:
        names = frozenset(_names(argument))
        if not names & OF_RECIPIENT:
            yield _expand(argument, common)
            continue
        for own in each:
            # As Postfix: an empty user is no argument, rather than an empty one.
            if "user" not in names or own["user"]:
                yield _expand(argument, {**common, **own})


def of_request(request: DeliveryRequest, addresses: Addresses) -> Mapping[str, str]:
    """
    @return: what is the same for all recipients, by macro.
    """
    envelope = request.envelope
    client = envelope.client
    sender = envelope.sender or addresses.null_sender
    nexthop = request.nexthop
    login = envelope.login
    return {
        "client_address": client.address,
        "client_helo": envelope.helo,
        "client_hostname": client.name,
        "client_port": str(client.port) if client.port else "",
        "client_protocol": envelope.protocol,
        "envid": envelope.envid,
        "nexthop": nexthop.casefold() if addresses.fold_host else nexthop,
        "queue_id": envelope.queue_id,
        "sasl_method": login.method if login else "",
        "sasl_sender": login.sender if login else "",
        "sasl_username": login.username if login else "",
        "sender": quote(sender) if addresses.quoted and sender else sender,
        "size": str(request.size),
    }


def of_recipient(recipient: Recipient, addresses: Addresses) -> Mapping[str, str]:
    """
    @return: what each recipient has of its own, by macro.
    """
    mailbox, at, domain = addresses.fold(recipient.address).rpartition("@")
    if not at:
        mailbox, domain = domain, ""
    user, _delimiter, extension = split_extension(
        mailbox,
        addresses.delimiters,
        owner_request_special=addresses.owner_request_special,
    )
    return {
        "recipient": addresses.write(recipient.address),
        "original_recipient": addresses.write(addresses.original(recipient)),
        "mailbox": mailbox,
        "user": user,
        "extension": extension,
        "domain": domain,
    }


def _names(argument: str) -> Iterator[str]:
    for match in _MACRO.finditer(argument):
        if match[5]:
            place = argument[match.start() :][:20]
            raise ValueError(f'"{place}" is no macro: write ${{name}}, or $$ for a $')
        if not match[1]:
            yield match[2] or match[3] or match[4]


def _expand(argument: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return "$" if match[1] else values[match[2] or match[3] or match[4]]

    return _MACRO.sub(value, argument)
