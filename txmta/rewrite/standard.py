"""
Addresses in standard form, and what is inside C{user%there@here}.

Owns: source routes, C{!} and C{%} operators, completion with myorigin and
    mydomain, peeling off domains that are ours.
Knows nothing of: which domains are ours: it asks, by C{yield}.

Sources: RFC 5321 appendix C, RFC 1123 section 5.2.16; Postfix:
C{trivial-rewrite/rewrite.c}, C{trivial-rewrite/resolve.c}.

Errors: none; an address that cannot be is marked C{bad}.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from txmta.address import (
    Token,
    is_literal,
    literal_address,
    quote,
    scan,
    valid_domain,
)

#: Domains peeled off one address. Honest mail has one, or two at most.
MAX_NESTING = 50

# Nothing to do: no route, a domain with a dot inside and none at the end.
_STANDARD = re.compile(
    r'[^@"\\\x00-\x20\x7f]+@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+', re.ASCII
)

#: No routing operator, nothing to quote.
SIMPLE = re.compile(
    r"([A-Za-z0-9#$&'*+/=?^_`{|}~][A-Za-z0-9#$&'*+/=?^_`{|}~-]*"
    r"(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*)@([A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*)"
)

_AT = Token("@", "@")
_WORDS = ("atom", "quoted", "literal")

_Tokens = Sequence[Token]


@dataclass(frozen=True)
class Form:
    """
    The parameters that decide on standard form.

    @ivar origin: completes an address without domain; C{""}: nothing does.
    @ivar domain: completes a domain without dot; C{""}: nothing does.
    @ivar swap_bangpath: C{site!user} is C{user@site}.
    @ivar percent_hack: C{user%domain} is C{user@domain}.
    """

    origin: str = ""
    domain: str = ""
    swap_bangpath: bool = True
    percent_hack: bool = True


def rewrite(address: str, form: Form) -> str:
    """
    @param address: internal form.
    @return: internal form.
    """
    if _STANDARD.fullmatch(address) or not address:
        return address
    return _internal(_rewrite(scan(_external(address)), form))


def _external(address: str) -> str:
    """
    As L{quote}, but a source route stays outside of the quotes.
    """
    if address.startswith("@") and ":" in address:
        route, colon, rest = address.partition(":")
        return route + colon + (quote(rest) or '""')
    return quote(address)


def _internal(tokens: _Tokens) -> str:
    """
    White space goes only where two words would become one, or where Postfix
    puts it: such an address is refused later, and must not look better here.
    """
    out: list[str] = []
    before = ""
    for token in tokens:
        words = token.kind in _WORDS and before in _WORDS
        if words or before == "," or (before and token.kind == "<"):
            out.append(" ")
        out.append(token.text)
        before = token.kind
    return "".join(out)


def _kinds(tokens: _Tokens) -> list[str]:
    return [token.kind for token in tokens]


def _last(kinds: list[str], kind: str) -> int:
    """
    @return: index of the last one, or -1.
    """
    return len(kinds) - 1 - kinds[::-1].index(kind) if kind in kinds else -1


def _rewrite(tokens: _Tokens, form: Form) -> _Tokens:
    kinds = _kinds(tokens)
    if kinds[:1] == ["@"] and ":" in kinds[:-1]:
        tokens = tokens[kinds.index(":") + 1 :]
        kinds = _kinds(tokens)
    if "@" not in kinds:
        tokens = _with_domain(tokens, kinds, form)
        kinds = _kinds(tokens)
    at = _last(kinds, "@")
    domain = kinds[at + 1 :]
    if at >= 0 and domain and form.domain and not {"literal", "."} & set(domain):
        tokens = [*tokens, *scan(f".{form.domain}")]
    return _without_last_dot(tokens)


def _with_domain(tokens: _Tokens, kinds: list[str], form: Form) -> _Tokens:
    if form.swap_bangpath and "!" in kinds:
        bang = kinds.index("!")
        return [*tokens[bang + 1 :], _AT, *tokens[:bang]]
    if form.percent_hack and "%" in kinds:
        percent = _last(kinds, "%")
        return [*tokens[:percent], _AT, *tokens[percent + 1 :]]
    if form.origin:
        return [*tokens, _AT, *scan(form.origin)]
    return tokens


def _without_last_dot(tokens: _Tokens) -> _Tokens:
    """
    Broken forms, C{..} and C{@.}, are left as they are, to be refused.
    """
    kinds = _kinds(tokens[-2:])
    if len(kinds) == 2 and kinds[1] == "." and kinds[0] not in (".", "@"):
        return tokens[:-1]
    return tokens


@dataclass(frozen=True)
class Unwrapped:
    """
    An address after all that is ours was peeled off.

    @ivar recipient: internal form, always with a domain.
    @ivar domain: the part after its last C{@}.
    @ivar local: the domain is ours.
    @ivar routed: routing operators are left in the local part.
    @ivar bad: no mail can go to that domain.
    """

    recipient: str
    domain: str
    local: bool
    routed: bool
    bad: bool


@dataclass(frozen=True)
class Peeling:
    """
    The parameters that decide how far an address is taken apart.

    @ivar form: standard form, with myorigin.
    @ivar hostname: completes what is left without domain.
    @ivar empty: empty_address_recipient.
    @ivar dequoted: resolve_dequoted_address.
    @ivar null_domain: resolve_null_domain.
    @ivar numeric_domain: resolve_numeric_domain.
    """

    form: Form
    hostname: str
    empty: str = "MAILER-DAEMON"
    dequoted: bool = True
    null_domain: bool = False
    numeric_domain: bool = False


def unwrap(address: str, how: Peeling) -> Generator[str, bool, Unwrapped]:
    """
    Find out where an address leads. Yields each domain that it must know
    about, and is sent whether that domain is ours.
    """
    tokens: _Tokens = scan(_external(address))
    ours: _Tokens = ()
    for _ in range(MAX_NESTING):
        if "@" in _kinds(tokens):
            tokens = _without_last_dot(tokens)
        if how.null_domain and tokens and tokens[-1].kind == "@":
            tokens = tokens[:-1]
        at = _last(_kinds(tokens), "@")
        if at >= 0:
            domain = tokens[at + 1 :]
            if domain and not (yield _internal(domain)):
                return (yield from _finish(_internal(tokens), False, how))
            tokens, ours = tokens[:at], tokens[at:]
        inner = _operators_inside(tokens, how)
        if inner is not None:
            tokens = _rewrite(inner, how.form)
        elif not _internal(tokens):
            tokens = scan(how.empty)
        elif not ours:
            # Whether that is one of ours is to be seen.
            tokens = [*tokens, _AT, *scan(how.hostname)]
        else:
            local = _internal(tokens) + _internal(ours)
            return (yield from _finish(local, True, how))
    return Unwrapped(address, "", False, True, True)


def _operators_inside(tokens: _Tokens, how: Peeling) -> _Tokens | None:
    """
    @return: what to rewrite when a routing operator is left in a local part,
        perhaps inside its quotes; L{None} if there is none.
    """
    kinds = _kinds(tokens)
    operators = ["@"]
    if how.form.swap_bangpath:
        operators.append("!")
    if how.form.percent_hack:
        operators.insert(1, "%")
    if any(operator in kinds for operator in operators):
        return tokens
    if kinds != ["quoted"] or not how.dequoted:
        return None
    text = tokens[0].text
    operator = next((o for o in operators if o in text), "")
    if not operator:
        return None
    if operator == "%":
        left, _percent, right = text.rpartition("%")
        text = f"{left}@{right}"
    return scan(_external(text) if operator != "!" else text)


def _finish(
    recipient: str, local: bool, how: Peeling
) -> Generator[str, bool, Unwrapped]:
    name, _at, domain = recipient.rpartition("@")
    bad = not (literal_address(domain) if is_literal(domain) else valid_domain(domain))
    if (
        bad
        and how.numeric_domain
        and ":" not in domain
        and literal_address(f"[{domain}]")
    ):
        bad = False
        domain = f"[{domain}]"
        local = yield domain
    routed = any(operator in name for operator in "@!%")
    return Unwrapped(f"{name}@{domain}", domain, local, routed, bad)
