"""
What is wrong with restriction lists, before anything starts.

Owns: which items a list may have, with what arguments, in which list.
Knows nothing of: what restrictions say, whether tables can be opened.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_init, generic_checks), which
finds most of it out when a client is there, and answers 451 4.3.5.

Errors: none; they are the result.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from txmta.config.declare import to_words
from txmta.config.settings import Settings
from txmta.smtp.access import permits
from txmta.smtp.access.compiler import MAX_DEPTH
from txmta.smtp.access.policy import LISTS
from txmta.smtp.access.registry import GONE, KINDS, OLD_NAMES, kind_of
from txmta.smtp.access.restrictions import CLOSING

#: What local_header_rewrite_clients may list, besides C{type:table}.
ORIGIN = (
    *("permit_inet_interfaces", "permit_mynetworks", "permit_sasl_authenticated"),
    "check_address_map",
)

_TLS_ORIGIN = ("permit_tls_clientcerts", "permit_tls_all_clientcerts")

_RELAY = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")

_NEEDS = {
    "table": "type:table",
    "name": "a domain name",
    "server": "transport:server",
    "number": "a number",
}


def problems_of_lists(settings: Settings) -> list[str]:
    """
    @return: what is wrong with the restriction lists, one line each, with what
        to do; a server must not start if there is anything.
    """
    problems = [
        f"{_RELAY[0]}, {_RELAY[1]}: anybody could relay: specify at least one "
        "working instance of: reject_unauth_destination, "
        "defer_unauth_destination, reject, defer or defer_if_permit"
    ]
    texts = _classes(settings)
    if _closed(settings, texts):
        problems.clear()
    for name, (_, default) in LISTS.items():
        problems += _problems(name, getattr(settings, name), default, texts)
    for name, items in texts.items():
        if items is None:
            problems.append(
                f"smtpd_restriction_classes: {name}: this class has no list: "
                f"write {name} = ..., or remove it"
            )
        elif kind_of(name) is not None:
            problems.append(
                f"smtpd_restriction_classes: {name} is a restriction: take another name"
            )
        else:
            problems += _problems(name, items, "in a list", texts)
            if _loops(name, texts):
                problems.append(f"{name}: the class contains itself")
    problems += [
        f"smtpd_log_access_permit_actions: {name}: write names, or static:all"
        for name in settings.smtpd_log_access_permit_actions
        if permits.wrong(name)
    ]
    return [*problems, *_origin_problems(settings)]


def tables_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """
    @return: each table that is an item, or an argument, with the parameter.
    """
    texts = _classes(settings)
    lists: list[tuple[str, Sequence[str]]] = [
        *((name, getattr(settings, name)) for name in LISTS),
        *((name, items or ()) for name, items in texts.items()),
    ]
    for name, items in lists:
        for before, item in pairwise(("", *items)):
            kind = kind_of(before) if ":" not in before else None
            if ":" in item and (kind is None or kind.takes in ("", "table")):
                yield name, item


def _classes(settings: Settings) -> dict[str, Sequence[str] | None]:
    found: dict[str, Sequence[str] | None] = {}
    for name in settings.smtpd_restriction_classes:
        try:
            text = settings.text(name) if name in settings.definitions else ""
            found[name] = to_words(text) or None
        except (KeyError, ValueError):
            found[name] = None
    return found


def _closed(settings: Settings, texts: Mapping[str, Sequence[str] | None]) -> bool:
    """
    @return: not everybody may send everywhere.
    """
    return any(_closes(getattr(settings, name), texts, 0) for name in _RELAY)


def _closes(
    items: Sequence[str], texts: Mapping[str, Sequence[str] | None], depth: int
) -> bool:
    for before, item in pairwise(("", *items)):
        if before.lower() == "warn_if_reject":
            continue
        if item.lower() == "permit":
            return False
        if item.lower() in CLOSING:
            return True
        if depth < MAX_DEPTH and _closes(texts.get(item) or (), texts, depth + 1):
            return True
    return False


def _problems(
    name: str,
    items: Sequence[str],
    default: str,
    texts: Mapping[str, Sequence[str] | None],
) -> Iterator[str]:
    """
    @param default: what a table alone stands for, or C{""}.
    """
    rest = iter(items)
    item = ""
    for item in rest:
        lower = item.lower()
        if lower == "warn_if_reject" or item in texts:
            continue
        if ":" in item:
            if not default:
                yield (
                    f"{name}: {item}: say what is looked up: write for example "
                    f"check_client_access {item}"
                )
            continue
        kind = kind_of(item)
        if kind is None:
            yield _unknown(name, item, (*KINDS, *OLD_NAMES, *texts))
        elif kind.takes:
            argument = next(rest, "")
            if not _fits(kind.takes, argument):
                yield f"{name}: {item} needs {_NEEDS[kind.takes]} after it"
    if item.lower() == "warn_if_reject":
        yield f"{name}: warn_if_reject needs a restriction after it"


def _fits(takes: str, argument: str) -> bool:
    if takes == "number":
        return argument.isascii() and argument.isdecimal()
    if takes == "name":
        return bool(argument) and kind_of(argument) is None
    return ":" in argument


def _loops(name: str, texts: Mapping[str, Sequence[str] | None]) -> bool:
    now = {name}
    for _ in range(MAX_DEPTH):
        now = {i for each in now for i in texts.get(each) or () if i in texts}
        if name in now:
            return True
    return bool(now)


def _origin_problems(settings: Settings) -> Iterator[str]:
    name = "local_header_rewrite_clients"
    for item, after in pairwise((*settings.local_header_rewrite_clients, "")):
        if ":" in item:
            continue
        if item.lower() in _TLS_ORIGIN:
            yield f"{name}: {item}: is not supported yet: remove it"
        elif item.lower() == "check_address_map" and ":" not in after:
            yield f"{name}: {item} needs type:table after it"
        elif item.lower() not in ORIGIN:
            yield _unknown(name, item, ORIGIN)


def _unknown(parameter: str, item: str, known: Sequence[str]) -> str:
    gone = GONE.get(item.lower())
    if gone is not None:
        return f"{parameter}: {item}: Postfix has it no more: {gone}"
    near = difflib.get_close_matches(item.lower(), known, 1)
    hint = f"did you mean {near[0]}?" if near else "remove it"
    return f"{parameter}: {item}: no such restriction here; {hint}"
