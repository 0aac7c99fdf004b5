"""
What we say to a server: MAIL, RCPT, and their parameters.

Owns: the words of our commands, what of an EHLO answer we understand, xtext.
Knows nothing of: when a command is sent, what is answered, sockets.

Addresses come in internal form and are quoted here. Nothing that would end a
command line early, or start another one, leaves this module.

Sources: RFC 5321 section 4.1, RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531
(SMTPUTF8), RFC 3461 sections 4 and 5 (DSN, xtext), RFC 6533 section 3
(utf-8 ORCPT). Postfix: C{smtp_loop()} in C{src/smtp/smtp_proto.c}.

Errors: L{UnsafeAddress}.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from txmta.address import quote
from txmta.model import Envelope, Notify, Recipient
from txmta.smtp.client_forwarding import offered as attributes
from txmta.smtp.replies import ServerReply


class UnsafeAddress(ValueError):
    """
    An address with octets that no command may contain.
    """


@dataclass(frozen=True, slots=True)
class Features:
    """
    What a server offers (its EHLO answer), less what we are told to ignore.

    @ivar size_limit: octets, 0 for none.
    @ivar xforward: attributes that it takes.
    @ivar auth: mechanisms, perhaps none; L{None}: there is no AUTH.
    @ivar dummy_auth: AUTH=<> is said with MAIL.
    """

    esmtp: bool = False
    pipelining: bool = False
    eight_bit: bool = False
    size: bool = False
    size_limit: int = 0
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    auth: tuple[str, ...] | None = None
    dummy_auth: bool = False
    xforward: Collection[str] = ()


@dataclass(slots=True)
class Transaction:
    """
    One message for some recipients.

    @ivar size: octets of content.
    @ivar body: C{"8BITMIME"}, C{"7BIT"} or C{""} for unknown.
    @ivar needs_smtputf8: only a server with SMTPUTF8 may have it.
    @ivar probe: the server is only asked for the recipients.
    """

    envelope: Envelope
    recipients: tuple[Recipient, ...]
    size: int
    body: str = ""
    needs_smtputf8: bool = False
    probe: bool = False


# Digits that a size can have; 20 of them are more than 2**64.
_SIZE = re.compile(r"[0-9]{1,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_XTEXT = re.compile(rb"[^!-*,-<>-~]")
_PLAIN_XTEXT = re.compile(r"[!-*,-<>-~]*")
_UXTEXT = re.compile(r"[^!-*,-<>-\[\]-~]")

_NOTIFY = (
    (Notify.NEVER, "NEVER"),
    (Notify.SUCCESS, "SUCCESS"),
    (Notify.FAILURE, "FAILURE"),
    (Notify.DELAY, "DELAY"),
)


def features(reply: ServerReply, ignore: Collection[str] = ()) -> Features:
    """
    Read an EHLO answer. The first line names the server and offers nothing.

    @param ignore: keywords in upper case (smtp_discard_ehlo_keywords).
    """
    offered: dict[str, str] = {}
    for line in reply.lines[1:]:
        # "250-SIZE=100" too: some servers still write it as in old drafts.
        words = line[4:].decode("ascii", "replace").replace("=", " ", 1)
        keyword, _, value = words.strip().partition(" ")
        if keyword.upper() not in ignore:
            offered.setdefault(keyword.upper(), value.strip())
    size = offered.get("SIZE", "").partition(" ")[0]
    utf8 = "SMTPUTF8" in offered
    return Features(
        esmtp=True,
        pipelining="PIPELINING" in offered,
        # As Postfix: who offers SMTPUTF8 can take 8-bit content.
        eight_bit="8BITMIME" in offered or utf8,
        size="SIZE" in offered,
        size_limit=int(size) if _SIZE.fullmatch(size) else 0,
        smtputf8=utf8,
        dsn="DSN" in offered,
        starttls="STARTTLS" in offered,
        xforward=attributes(offered.get("XFORWARD", "")),
        auth=tuple(offered["AUTH"].split()) if "AUTH" in offered else None,
    )


def mail_from(transaction: Transaction, offered: Features, quoting: bool) -> str:
    """
    @param quoting: smtp_quote_rfc821_envelope.
    @raise UnsafeAddress: the sender cannot be written.
    """
    envelope = transaction.envelope
    sender = quote(envelope.sender) if quoting else envelope.sender
    command = f"MAIL FROM:<{sender}>"
    if offered.size:
        command += f" SIZE={transaction.size}"
    if offered.eight_bit and transaction.body:
        command += f" BODY={transaction.body}"
    if offered.dsn:
        if envelope.envid:
            command += f" ENVID={xtext(envelope.envid)}"
        if envelope.ret:
            command += f" RET={envelope.ret}"
    if offered.smtputf8 and envelope.smtputf8:
        command += " SMTPUTF8"
    if offered.dummy_auth:
        command += " AUTH=<>"
    # isprintable() is quick and right for nearly all; it also says no to
    # octets that are not UTF-8, which may pass.
    return command if command.isprintable() else _safe(command)


def rcpt_to(
    recipient: Recipient, transaction: Transaction, offered: Features, quoting: bool
) -> str:
    """
    @raise UnsafeAddress: the recipient cannot be written.
    """
    address = quote(recipient.address) if quoting else recipient.address
    command = f"RCPT TO:<{address}>"
    if offered.dsn:
        if (
            quoting
            and address == recipient.address == recipient.original
            and not recipient.orcpt
            and _PLAIN_XTEXT.fullmatch(address)
        ):
            # Nearly always: it goes where it was sent, and needs no quotes.
            command += f" ORCPT=rfc822;{address}"
        elif original := recipient.orcpt or _orcpt(recipient, transaction):
            command += f" ORCPT={_encoded(original)}"
        if recipient.notify:
            names = [name for flag, name in _NOTIFY if recipient.notify & flag]
            command += f" NOTIFY={','.join(names)}"
    return command if command.isprintable() else _safe(command)


def _orcpt(recipient: Recipient, transaction: Transaction) -> str:
    if not recipient.original:
        return ""
    utf8 = transaction.envelope.smtputf8 and not recipient.original.isascii()
    kind = "utf-8" if utf8 else "rfc822"
    return f"{kind};{quote(recipient.original)}"


def _encoded(original: str) -> str:
    if original[:6].lower() == "utf-8;":
        return uxtext(original)
    return xtext(original)


def _safe(command: str) -> str:
    if _CONTROL.search(command):
        raise UnsafeAddress(command)
    return command


def xtext(text: str) -> str:
    """
    @return: C{+3D} for what RFC 3461 section 4 does not let stand.
    """
    if _PLAIN_XTEXT.fullmatch(text):
        return text
    octets = text.encode("utf-8", "surrogateescape")
    quoted = _XTEXT.sub(lambda match: b"+%02X" % match[0][0], octets)
    return quoted.decode("ascii")


def uxtext(text: str) -> str:
    """
    @return: C{\\x{E9}} for what RFC 6533 section 3 does not let stand.
    """
    return _UXTEXT.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", text)
