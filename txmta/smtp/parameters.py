"""
The ESMTP parameters of MAIL and RCPT.

Owns: which there are, their syntax, xtext and utf-8-addr-xtext.
Knows nothing of: addresses, limits, transactions.

Sources: RFC 1870 (SIZE); RFC 6152 (BODY); RFC 3461 section 4 (NOTIFY, ORCPT,
RET, ENVID, xtext); RFC 6533 section 3 (utf-8-addr-xtext); RFC 6531 (SMTPUTF8);
RFC 4954 section 5 (AUTH). Postfix: C{smtpd/smtpd.c} (mail_cmd, rcpt_cmd),
C{global/xtext.c}, C{global/uxtext.c}.

Errors: L{BadParameter} with the reply.

@note: control characters in a decoded ORCPT are refused; Postfix takes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence

from txmta.model import Notify, Reply
from txmta.smtp.commands import MAX_SIZE
from txmta.smtp.requests import MailParameters, RcptParameters

_HEX = re.compile(r"\+([0-9A-F]{2})", re.ASCII)
_XTEXT = re.compile(r"[^+]*+(?:\+[0-9A-F]{2}[^+]*+)*", re.ASCII)
_UNICODE = re.compile(r"\\x\{([0-9A-F]{2,6})\}", re.ASCII | re.IGNORECASE)
_UXTEXT = re.compile(
    r"[^\\]*+(?:\\x\{[0-9A-F]{2,6}\}[^\\]*+)*", re.ASCII | re.IGNORECASE
)
_TYPE = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_NOTIFY = {
    "NEVER": Notify.NEVER,
    "SUCCESS": Notify.SUCCESS,
    "FAILURE": Notify.FAILURE,
    "DELAY": Notify.DELAY,
}

_NO_DSN = Reply(501, "5.7.1", "DSN support is disabled")
_BAD_SIZE = Reply(501, "5.5.4", "Bad message size syntax")
_HUGE = Reply(552, "5.3.4", "Message size exceeds file system imposed limit")
_BAD_RET = Reply(501, "5.5.4", "Bad RET parameter syntax")
_BAD_ENVID = Reply(501, "5.5.4", "Bad ENVID parameter syntax")
_MANY_AUTH = Reply(503, "5.5.4", "Error: multiple AUTH= options")
_BAD_NOTIFY = Reply(501, "5.5.4", "Error: Bad NOTIFY parameter syntax")
_BAD_ORCPT = Reply(501, "5.5.4", "Error: Bad ORCPT parameter syntax")


class BadParameter(Exception):
    """
    @ivar reply: what to say.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def xtext(text: str) -> str:
    """
    @return: the text that xtext stands for.
    @raise ValueError: it is malformed.
    """
    if "+" not in text:
        return text
    if not _XTEXT.fullmatch(text):
        raise ValueError("malformed xtext")
    octets = _HEX.sub(lambda m: chr(int(m[1], 16)), text)
    if octets.isascii():
        return octets
    # Hex pairs above 7F are octets; they may make up UTF-8.
    parts = _HEX.split(text.encode("utf-8", "surrogateescape").decode("latin-1"))
    raw = "".join(chr(int(p, 16)) if i % 2 else p for i, p in enumerate(parts))
    return raw.encode("latin-1").decode("utf-8", "surrogateescape")


def utf8_xtext(text: str) -> str:
    """
    @return: the text that utf-8-addr-xtext stands for.
    @raise ValueError: it is malformed.
    """
    if not _UXTEXT.fullmatch(text):
        raise ValueError("malformed utf-8-addr-xtext")
    decoded = _UNICODE.sub(lambda m: chr(int(m[1], 16)), text)
    decoded.encode("utf-8")  # surrogates are no characters
    return decoded


def printable(text: str) -> bool:
    """
    Whether it can stand in a header and in the log without harm.
    """
    return all(c.isprintable() or "\udc80" <= c <= "\udcff" for c in text)


def _unsupported(word: str) -> BadParameter:
    return BadParameter(Reply(555, "5.5.4", f"Unsupported option: {word}"))


# Nobody changes them.
_NOTHING_SAID = MailParameters()
_NOTHING_ASKED = RcptParameters()


def mail_parameters(parameters: Sequence[str], off: Container[str]) -> MailParameters:
    """
    @param off: upper-case EHLO keywords that are not offered.
    @raise BadParameter: one is unknown, or malformed.
    """
    if not parameters:
        return _NOTHING_SAID
    found = MailParameters()
    for word in parameters:
        keyword, equals, value = word.partition("=")
        read = _MAIL.get((keyword + equals).upper())
        if read is None:
            raise _unsupported(word)
        if not read(found, value, off):
            raise _unsupported(word)
    return found


def _size(found: MailParameters, value: str, off: Container[str]) -> bool:
    if not (value.isascii() and value.isdigit()):
        raise BadParameter(_BAD_SIZE)
    if len(value) > 20 or int(value) > MAX_SIZE:
        raise BadParameter(_HUGE)
    found.size = int(value)
    return True


def _body(found: MailParameters, value: str, off: Container[str]) -> bool:
    if value.upper() not in ("7BIT", "8BITMIME") or "8BITMIME" in off:
        return False
    found.body = value.upper()
    return True


def _smtputf8(found: MailParameters, value: str, off: Container[str]) -> bool:
    found.smtputf8 = True
    return "SMTPUTF8" not in off


def _ret(found: MailParameters, value: str, off: Container[str]) -> bool:
    if "DSN" in off:
        raise BadParameter(_NO_DSN)
    if found.ret or value.upper() not in ("FULL", "HDRS"):
        raise BadParameter(_BAD_RET)
    found.ret = value.upper()
    return True


def _envid(found: MailParameters, value: str, off: Container[str]) -> bool:
    if "DSN" in off:
        raise BadParameter(_NO_DSN)
    try:
        envid = xtext(value)
    except ValueError:
        envid = ""
    if found.envid or not (envid and envid.isascii() and envid.isprintable()):
        raise BadParameter(_BAD_ENVID)
    found.envid = envid
    return True


def _auth(found: MailParameters, value: str, off: Container[str]) -> bool:
    if found.auth:
        raise BadParameter(_MANY_AUTH)
    # Like Postfix, we leave xtext as it is.
    found.auth = "" if value == "<>" else value
    return True


_MAIL: dict[str, Callable[[MailParameters, str, Container[str]], bool]] = {
    "SIZE=": _size,
    "BODY=": _body,
    "SMTPUTF8": _smtputf8,
    "RET=": _ret,
    "ENVID=": _envid,
    "AUTH=": _auth,
}


def rcpt_parameters(parameters: Sequence[str], off: Container[str]) -> RcptParameters:
    """
    @param off: as for L{mail_parameters}.
    @raise BadParameter: one is unknown, or malformed.
    """
    if not parameters:
        return _NOTHING_ASKED
    found = RcptParameters()
    for word in parameters:
        keyword, equals, value = word.partition("=")
        name = (keyword + equals).upper()
        if name not in ("NOTIFY=", "ORCPT="):
            raise _unsupported(word)
        if "DSN" in off:
            raise BadParameter(_NO_DSN)
        if name == "NOTIFY=":
            _notify(found, value)
        else:
            _orcpt(found, value)
    return found


def _notify(found: RcptParameters, value: str) -> None:
    if found.notify:
        raise BadParameter(_BAD_NOTIFY)
    for word in value.upper().split(","):
        if word and word not in _NOTIFY:
            raise BadParameter(_BAD_NOTIFY)
        found.notify |= int(_NOTIFY.get(word, 0))
    if not found.notify or (
        found.notify & Notify.NEVER and found.notify != Notify.NEVER
    ):
        raise BadParameter(_BAD_NOTIFY)


def _orcpt(found: RcptParameters, value: str) -> None:
    kind, semicolon, text = value.partition(";")
    if found.orcpt or not semicolon or not _TYPE.fullmatch(kind):
        raise BadParameter(_BAD_ORCPT)
    try:
        decoded = utf8_xtext(text) if kind.lower() == "utf-8" else xtext(text)
    except (ValueError, OverflowError):
        raise BadParameter(_BAD_ORCPT) from None
    if not printable(decoded):
        raise BadParameter(_BAD_ORCPT)
    found.orcpt = f"{kind};{decoded}"
