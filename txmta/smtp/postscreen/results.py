"""
Which tests a client has passed, and until when that counts.

Owns: these values, and their form in the cache, which is Postfix's.
Knows nothing of: tests.

Sources: Postfix C{postscreen/postscreen_tests.c}.

Errors: none: what cannot be read counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from txmta.smtp.postscreen.rules import TESTS

#: Of a test that was not passed; of one that is not made.
NEVER, OFF = 0, 1

_FORM = re.compile(r"\d{1,12}(?:;\d{1,12}){4}")

#: By test: wall time, whole seconds.
Stamps = Mapping[str, int]

NEW: Stamps = dict.fromkeys(TESTS, NEVER)


def parse(text: str) -> Stamps | None:
    """
    @return: L{None}: it is none.
    """
    if not _FORM.fullmatch(text):
        return None
    return dict(zip(TESTS, map(int, text.split(";")), strict=True))


def text(stamps: Stamps) -> str:
    return ";".join(str(stamps[test]) for test in TESTS)


def to_do(stamps: Stamps, tests: Collection[str], now: float) -> frozenset[str]:
    """
    @param tests: that are made here.
    @return: those that the client must pass again.
    """
    return frozenset(test for test in tests if stamps[test] <= now)


def is_new(stamps: Stamps, tests: Collection[str]) -> bool:
    """
    Whether the client has never passed one of the tests.
    """
    return any(stamps[test] in (NEVER, OFF) for test in tests)
