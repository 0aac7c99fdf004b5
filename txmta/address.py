"""
Mail addresses: from the wire to internal form, and back.

Internal form is what L{txmta.model} describes: the local part without its
quotes, C{@}, the domain. External form is what stands in SMTP commands and
message headers. Everything here takes time and space linear in the input.

Owns: the grammar of paths and quoted local parts; which domains are well
    formed.
Knows nothing of: which domains are ours, completion, routing operators
    (L{txmta.rewrite}).

Sources: RFC 5321 sections 4.1.2 and 4.1.3, appendix C (source routes);
RFC 5322 section 3.2.4; RFC 6531 section 3.3; UTS 46. Postfix:
C{global/tok822_parse.c}, C{global/quote_822_local.c},
C{global/valid_mailhost_addr.c}, C{util/valid_hostname.c},
C{smtpd/smtpd.c} (extract_addr).

Errors: C{ValueError} with a reason in a few words; no text of the client is
in it.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import idna

#: Characters in one path. RFC 5321 section 4.5.3.1.3 asks for 256 octets;
#: the bound is Postfix's line_length_limit.
MAX_PATH = 2048

#: Characters in a domain (RFC 1035 section 2.3.4), as Postfix's
#: VALID_HOSTNAME_LEN.
MAX_DOMAIN = 255
MAX_LABEL = 63

_ATOM = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-"

# The paths of nearly all mail: a dot-string and a name of plain labels.
_PLAIN_PATH = re.compile(
    r"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z]{2,63})>"
)

# What Postfix leaves unquoted (is_822_dot_string): 8-bit text too.
_DOT_STRING = re.compile(rf"[{_ATOM}]+(?:\.[{_ATOM}]+)*")
_PLAIN_ADDRESS = re.compile(rf"[{_ATOM}]+(?:\.[{_ATOM}]+)*@[^@]*")

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMERIC = re.compile(r"[0-9.]+")
_U = r"A-Za-z0-9_\u00a1-\ud7ff\ue000-\U0010ffff"
_U_LABEL = rf"[{_U}](?:[{_U}-]*[{_U}])?"
_U_DOMAIN = re.compile(rf"{_U_LABEL}(?:\.{_U_LABEL})*")

#: Neither can be part of an address that we carry: they would end lines in
#: headers and in the log. White space is not among them, see L{scan}.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_TOKEN = re.compile(
    r"[ \t\r\n]+"
    r'|"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*)(?:"|\\?\Z)'
    r"|\[(?P<literal>[^\]\\]*+(?:\\.[^\]\\]*+)*)(?:\]|\\?\Z)"
    r"|(?P<operator>[|%!()<>@,;:.\]])"
    r'|(?P<atom>(?:\\.|[^ \t\r\n|%!()<>@,;:.\]\["\\])+)(?:\\\Z)?'
    r"|(?P<nothing>\\\Z)",
    re.DOTALL,
)
_SPECIAL = re.compile(r'[\x00-\x20\x7f|%!()<>@,;:.\[\]"\\]')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"[\t\r\n]")
_UNQUOTE = re.compile(r'\\.?|"|@|[^\\"@]+', re.DOTALL)
_COMMENT_PART = re.compile(r"\\.|[()]", re.DOTALL)


class Token(NamedTuple):
    """
    A piece of an address in external form.

    @ivar kind: C{"atom"}, C{"quoted"}, C{"literal"}, or the operator itself:
        one of C{|%!()<>@,;:.]}.
    @ivar text: what it stands for, without quotes; brackets are kept.
    """

    kind: str
    text: str


def scan(text: str) -> list[Token]:
    """
    Cut an address in external form into tokens. Total: any text is legal.
    White space inside quotes becomes a space; comments are dropped.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] == "(":
            at = after_comment(text, at)
            continue
        match = _TOKEN.match(text, at)
        assert match is not None, "every character starts a token"
        at = match.end()
        kind = match.lastgroup
        if kind is None:
            continue
        value = match[kind]
        if kind == "operator":
            tokens.append(Token(value, value))
            continue
        if kind == "nothing":
            tokens.append(Token("atom", ""))
            continue
        if "\\" in value:
            value = _QUOTED_PAIR.sub(r"\1", value)
            if kind == "atom" and _SPECIAL.search(value):
                kind = "quoted"
        value = _SPACE.sub(" ", value)
        tokens.append(Token(kind, f"[{value}]" if kind == "literal" else value))
    return tokens


def after_comment(text: str, start: int) -> int:
    """
    @param start: where a comment begins; comments nest.
    @return: where it is over, the end of the text at the latest.
    """
    depth = 0
    for part in _COMMENT_PART.finditer(text, start):
        depth += (part[0] == "(") - (part[0] == ")")
        if depth == 0:
            return part.end()
    return len(text)


def join(tokens: Sequence[Token]) -> str:
    """
    @return: the internal form of one address.
    """
    return "".join([token.text for token in tokens])


def parse_path(text: str, *, strict: bool = False, utf8: bool = False) -> str:
    """
    Read what follows C{MAIL FROM:} or C{RCPT TO:}, without ESMTP parameters.

    Source routes are ignored (RFC 5321 appendix C). As with Postfix, what
    RFC 822 allows in a header is understood: comments, a phrase before the
    brackets, missing brackets. Unlike it we want brackets and quotes in
    pairs.

    @param strict: strict_rfc821_envelopes: an address in brackets and
        nothing else.
    @param utf8: the client said SMTPUTF8: non-ASCII text must be UTF-8, and
        the domain may have U-labels. The local part may be non-ASCII anyhow.
    @return: the address in internal form; C{""} for C{<>}. It may lack a
        domain, and the domain may have a dot at its end.
    @raise ValueError: this is not one address.
    """
    match = _PLAIN_PATH.fullmatch(text)
    if match is not None and len(text) < MAX_DOMAIN:
        return match[1]
    if text == "<>":
        return ""
    if len(text) > MAX_PATH:
        raise ValueError("path too long")
    if _CONTROL.search(text):
        raise ValueError("control character in path")
    if utf8 and _SURROGATE.search(text):
        raise ValueError("malformed UTF-8 in path")
    tokens = _without_route(_in_brackets(scan(text), strict))
    _check_single([token.kind for token in tokens])
    address = join(tokens)
    _local, at, domain = address.rpartition("@")
    if strict and address.startswith("@"):
        raise ValueError("no local part")
    if at and not valid_mail_domain(domain):
        raise ValueError("malformed domain")
    if not (utf8 or domain.isascii() or not at):
        raise ValueError("domain needs SMTPUTF8")
    return address


def _in_brackets(tokens: list[Token], strict: bool) -> list[Token]:
    """
    @return: the tokens of the one address; empty for C{<>}.
    """
    kinds = [token.kind for token in tokens]
    if "<" not in kinds:
        if strict or not tokens:
            raise ValueError("no angle brackets")
        return tokens
    if kinds[-1] != ">":
        raise ValueError("no closing bracket, or text after it")
    start = len(kinds) - 1 - kinds[::-1].index("<")
    before = kinds[:start]
    if strict and before:
        raise ValueError("text before the address")
    if any(kind in "<>;,:" for kind in before):
        raise ValueError("more than one address")
    return tokens[start + 1 : -1]


def _check_single(kinds: list[str]) -> None:
    """
    Two words without an operator between them, or a comma, are two addresses.
    """
    words = ("atom", "quoted", "literal")
    if any(a in words and b in words for a, b in itertools.pairwise(kinds)):
        raise ValueError("more than one address")
    if not {"<", ">", ";", ","}.isdisjoint(kinds):
        raise ValueError("more than one address")


def _without_route(tokens: list[Token]) -> list[Token]:
    """
    Ignore C{@one,@two:} in front of an address.
    """
    if tokens and tokens[0].kind == "@":
        for i, token in enumerate(tokens[:-1]):
            if token.kind == ":":
                return tokens[i + 1 :]
    return tokens


# A message's addresses are written in commands and in several lines of the log.
@lru_cache(maxsize=1024)
def quote(address: str) -> str:
    """
    Internal form to external form: a local part that is not a dot-string is
    put in quotes. C{""} stays C{""}: it is written C{<>}.
    """
    if _PLAIN_ADDRESS.fullmatch(address) or not address:
        return address
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    if not _DOT_STRING.fullmatch(local):
        local = local.replace("\\", "\\\\").replace('"', '\\"')
        local = f'"{local}"'.replace("\r", "\\\r")
    return f"{local}{at}{domain}"


def unquote(text: str) -> str:
    """
    External form to internal form, for one bare address. Total.
    """
    if '"' not in text and "\\" not in text:
        return text
    out: list[str] = []
    quoted = False
    for match in _UNQUOTE.finditer(text):
        part = match[0]
        if part == '"':
            quoted = not quoted
        elif part == "@" and not quoted:
            return "".join(out) + text[match.start() :]
        else:
            out.append(part[1:] if part[0] == "\\" else part)
    return "".join(out)


def split(address: str) -> tuple[str, str]:
    """
    @return: local part and domain of an internal form; the domain is C{""}
        if there is none. The last C{@} decides.
    """
    local, at, domain = address.rpartition("@")
    return (local, domain) if at else (address, "")


def is_literal(domain: str) -> bool:
    """
    Whether it is in brackets; well formed or not.
    """
    return domain.startswith("[") and domain.endswith("]")


def literal_address(domain: str) -> str | None:
    """
    @return: the IP address of C{[192.0.2.1]} or C{[IPv6:2001:db8::1]} in its
        shortest form; L{None} if it is no such thing.
    """
    if not is_literal(domain):
        return None
    inside = domain[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            return str(ipaddress.IPv6Address(inside[5:]))
        address = ipaddress.IPv4Address(inside)
    except ValueError:
        return None
    return None if address.packed[0] == 0 else str(address)


# Mail of an hour goes to few domains; each is looked at several times a message.
@lru_cache(maxsize=1024)
def valid_domain(domain: str) -> bool:
    """
    Whether it can be a host name: letters, digits, C{-} and C{_} (or U-labels),
    no empty label, not an IP address without brackets.
    """
    if not domain or len(domain) > MAX_DOMAIN:
        return False
    if domain.isascii():
        if not _DOMAIN.fullmatch(domain) or _NUMERIC.fullmatch(domain):
            return False
    else:
        return _valid_u_domain(domain)
    return len(domain) <= MAX_LABEL or all(
        len(label) <= MAX_LABEL for label in domain.split(".")
    )


def _valid_u_domain(domain: str) -> bool:
    """
    As L{valid_domain}, for one with U-labels; like Postfix we take symbols,
    which IDNA 2008 does not, and dots of other scripts.
    """
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
    except idna.IDNAError:
        return False  # has a character that no name can have
    if not _U_DOMAIN.fullmatch(mapped) or _NUMERIC.fullmatch(mapped):
        return False
    labels = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in mapped.split(".")
    ]
    size = sum(map(len, labels)) + len(labels) - 1
    return size <= MAX_DOMAIN and max(map(len, labels)) <= MAX_LABEL


def valid_mail_domain(domain: str) -> bool:
    """
    Whether mail can be addressed to it: a host name, perhaps with one dot at
    its end, or an address literal.
    """
    if is_literal(domain):
        return literal_address(domain) is not None
    return valid_domain(domain[:-1] if domain.endswith(".") else domain)
