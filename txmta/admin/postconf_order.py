"""
The order in which Postfix goes through the lines of main.cf.

It keeps them in a hash table, and warns in the order of that; with NORANDOMIZE
in its environment, it is always the same one. With it here, what both say about
a file can be compared line by line.

Sources: Postfix's C{util/htable.c}, C{util/hash_fnv.c} (FNV-1a, 64 bits). Debian's
    C{postconf} is the oracle of the tests.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Buckets at first.
_SIZE = 13

_BASIS, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def in_order(names: Iterable[str]) -> Sequence[str]:
    """
    @param names: in the order in which they were met.
    """
    buckets: list[list[tuple[int, str]]] = [[] for _ in range(_SIZE)]
    for used, name in enumerate(names):
        if used >= len(buckets):
            old = buckets
            buckets = [[] for _ in range(2 * len(old) + 1)]
            for bucket in old:
                for item in bucket:
                    buckets[item[0] % len(buckets)].insert(0, item)
        number = _hash(name)
        buckets[number % len(buckets)].insert(0, (number, name))
    return [name for bucket in buckets for _number, name in bucket]


def _hash(name: str) -> int:
    number = _BASIS
    for octet in name.encode("utf-8", "surrogateescape"):
        number = (number ^ (1 + octet)) * _PRIME & _MASK
    return number
