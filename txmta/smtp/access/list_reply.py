"""
What is said to a client that is in a DNS list (default_rbl_reply, rbl_reply_maps).

Owns: names that such a text can use, which characters of others get into it.
Knows nothing of: lists.

Sources: Postfix C{smtpd/smtpd_check.c} (rbl_reject_reply, smtpd_expand_lookup).

Errors: none; a text of a table that makes no sense is replaced by the default, and
said in the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from txmta.address import split
from txmta.config.expansion import expand
from txmta.model import Reply
from txmta.smtp.access.check import Check
from txmta.status import about, split_status

#: What may come from outside; anything else becomes C{_}
#: (smtpd_expansion_filter's default).
_STRANGE = re.compile(r"[^\t -~]")

_CODE = re.compile(r"[45][0-9][0-9] ")

#: Characters of one reply.
MAX_REPLY = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """
    Who is in which list.

    @ivar domain: of the list, without its filter.
    @ivar reason: what the list says, or C{""}.
    @ivar what: that is listed, and its name in replies, C{subject}.
    """

    domain: str
    reason: str
    what: str
    subject: str


def make_reply(
    check: Check, listed: Listed, code: int, template: str, default: str
) -> Reply:
    """
    @param code: maps_rbl_reject_code.
    @param template: of a table, or C{default}.
    """
    names = _names(check, listed, code)
    try:
        text = expand(template, _Lookup(check, names))
    except ValueError:
        check.note(
            "warning",
            f"rbl_reject_reply: bad rbl reply template for domain {listed.domain}: "
            f"{template}",
        )
        text = expand(default, _Lookup(check, names))
    text = text[:MAX_REPLY]
    if not _CODE.match(text):
        check.note("warning", f"rbl response code configuration error: {text}")
        return Reply(450, "4.7.1", "Service unavailable")
    status, words = split_status(text[4:].lstrip(), "4.7.1")
    status = about(f"{text[0]}{status[1:]}", listed.subject)
    return Reply(int(text[:3]), status, words or "Service unavailable")


class _Lookup:
    """
    Gives the value of a name; one that is from outside, cleaned.
    """

    def __init__(self, check: Check, names: Mapping[str, str]) -> None:
        self._check = check
        self._names = names

    def __call__(self, name: str) -> str:
        value = self._names.get(name)
        if value is None:
            words = f'unknown macro name "{name}" in expansion request'
            self._check.note("warning", words)
            return ""
        return _STRANGE.sub("_", value)


def _names(check: Check, listed: Listed, code: int) -> Mapping[str, str]:
    session = check.session
    client = session.client
    names = {
        "rbl_code": str(code),
        "rbl_domain": listed.domain,
        "rbl_reason": listed.reason,
        "rbl_txt": listed.reason,
        "rbl_what": listed.what,
        "rbl_class": listed.subject,
        "client": client.label,
        "client_address": client.address,
        "client_port": str(client.port),
        "client_name": client.name,
        "reverse_client_name": client.reverse_name,
        "helo_name": session.helo,
        "server_address": session.server_address,
        "server_port": str(session.server_port),
    }
    names.update(_address_names("sender", check.said))
    names.update(_address_names("recipient", check.recipient or None))
    tls, login = session.tls, session.login
    if tls is not None:
        names["ccert_subject"], names["ccert_issuer"] = tls.subject, tls.issuer
        names["ccert_fingerprint"] = tls.fingerprint
        names["ccert_pubkey_fingerprint"] = tls.key_fingerprint
    if login is not None:
        names["sasl_method"], names["sasl_username"] = login.method, login.username
        names["sasl_sender"] = login.sender
    for name in _MAYBE:
        names.setdefault(name, "")
    return names


_MAYBE = (
    *("ccert_subject", "ccert_issuer", "ccert_fingerprint"),
    *("ccert_pubkey_fingerprint", "sasl_method", "sasl_username", "sasl_sender"),
)


def _address_names(name: str, address: str | None) -> Mapping[str, str]:
    if address is None:
        return {name: "", f"{name}_name": "", f"{name}_domain": ""}
    user, domain = split(address)
    return {
        name: address or "<>",
        f"{name}_name": user or "<>",
        f"{name}_domain": domain,
    }
