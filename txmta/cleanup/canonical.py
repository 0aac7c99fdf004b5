"""
canonical_maps and its kind: one address becomes one other.

Owns: how often a result is looked up again.
Knows nothing of: envelopes, headers, which addresses are for which table.

Sources: Postfix C{cleanup/cleanup_map11.c}; canonical(5).

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>}.
"""

from __future__ import annotations

from txmta.cleanup.map_results import Rewrite, results
from txmta.cleanup.questions import UNAVAILABLE, Asking, NotMapped, Question, Remark

#: Results that are looked up again, one after the other.
MAX_NESTING = 10


def canonical(
    maps: str, address: str, propagate: bool, rewrite: Rewrite
) -> Asking[str]:
    """
    @param maps: the parameter.
    @return: the address, or what the tables make of it.
    """
    for _ in range(MAX_NESTING):
        found = yield Question(maps, address)
        if found is None:
            return address
        new = results(address, found, propagate, rewrite)
        if not new:
            trouble = f"{maps} entry for {address} has no address"
            raise NotMapped(trouble, UNAVAILABLE)
        if len(new) > 1:
            yield Remark(f"multi-valued {maps} entry for {address}")
        before, address = address, new[0]
        if before.casefold() == address.casefold():
            return address
    # As in Postfix it is taken all the same: the tables had their say.
    yield Remark(f"unreasonable {maps} map nesting for {address}")
    return address
