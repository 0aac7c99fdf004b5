"""
virtual_alias_maps: one recipient becomes one or more.

Owns: recursion, and its limits.
Knows nothing of: which recipients there are, duplicates among them.

Sources: Postfix C{cleanup/cleanup_map1n.c}; virtual(5).

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>} when a limit is reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from txmta.cleanup.map_results import Rewrite, results
from txmta.cleanup.questions import UNAVAILABLE, Asking, NotMapped, Question

_MAPS = "virtual_alias_maps"


@dataclass(frozen=True)
class AliasLimits:
    """
    @ivar expansion: virtual_alias_expansion_limit.
    @ivar recursion: virtual_alias_recursion_limit.
    @ivar length: virtual_alias_address_length_limit.
    """

    expansion: int = 1000
    recursion: int = 1000
    length: int = 1000


def expanded(
    address: str, limits: AliasLimits, propagate: bool, rewrite: Rewrite
) -> Asking[list[str]]:
    """
    @return: the recipients that it stands for; it alone if it is no alias.
    """
    out = [address]
    to_self: set[str] = set()  # an address may be an alias for itself, once
    at = 0
    while at < len(out):
        depth = 0
        while out[at].casefold() not in to_self:
            if len(out) > limits.expansion:
                raise _unreasonable(f"map expansion size for {address}")
            if depth >= limits.recursion:
                raise _unreasonable(f"map nesting for {address}")
            before = out[at]
            found = yield Question(_MAPS, before)
            if found is None:
                break
            new = results(before, found, propagate, rewrite)
            _check(before, new, limits)
            out[at] = new[0]
            out += new[1:]
            if before.casefold() in map(str.casefold, new):
                to_self.add(before.casefold())
            depth += 1
        at += 1
    return out


def _check(address: str, new: list[str], limits: AliasLimits) -> None:
    if not new:
        trouble = f"{_MAPS} entry for {address} has no address"
        raise NotMapped(trouble, UNAVAILABLE)
    for each in new:
        if len(each.encode("utf-8", "surrogateescape")) > limits.length:
            raise _unreasonable(f"result {each[:300]}...")


def _unreasonable(what: str) -> NotMapped:
    return NotMapped(f"unreasonable {_MAPS} {what}")
