"""
What the report consists of.

Owns: the verdicts, one item each for what is said, what they add up to.
Knows nothing of: how anything is judged or shown.

Errors: none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from txmta.config.declare import Status

#: Exit statuses: all counts; it would not start; it would, but not as before.
SAME, STOPS, DIFFERS = 0, 1, 2


class Verdict(Enum):
    """
    What becomes of one thing that the configuration says.
    """

    HONOURED = "honoured"
    APPROXIMATED = "approximated"
    NO_EFFECT = "no-effect"
    OBSOLETE = "obsolete"
    UNKNOWN = "unknown"
    NOT_YET = "not-yet"
    REFUSED = "refused"
    WRONG = "wrong"  # cannot be used as it is, with Postfix neither, or not here


#: Those of a parameter's declaration.
OF_STATUS = {
    Status.HONOURED: Verdict.HONOURED,
    Status.APPROXIMATED: Verdict.APPROXIMATED,
    Status.NO_EFFECT: Verdict.NO_EFFECT,
    Status.OBSOLETE: Verdict.OBSOLETE,
    Status.NOT_YET: Verdict.NOT_YET,
    Status.REFUSED: Verdict.REFUSED,
}

#: Of these, mail is treated as before.
HARMLESS = frozenset(
    {Verdict.HONOURED, Verdict.APPROXIMATED, Verdict.NO_EFFECT, Verdict.OBSOLETE}
)


class Kind(Enum):
    """
    What is judged.
    """

    PARAMETER = "parameter"
    OVERRIDE = "override"  # -o of master.cf
    TABLE = "table"
    RESTRICTION = "restriction"
    SERVICE = "service"
    ARGUMENT = "argument"  # of a service: flags=, user=, ...


_SAID = re.compile(r"is (?:not supported yet|refused): ")
_MISSING = re.compile(r"not (?:supported|possible) yet|no such restriction here")


@dataclass(frozen=True)
class Item:
    """
    @ivar name: of a parameter, C{type:name} of a table, C{name type} of a
        service ...
    @ivar value: as written.
    @ivar places: C{"main.cf, line 12"}.
    @ivar why: the reason for the verdict, and what to do; C{""} for what is
        honoured.
    @ivar stops: the server would not start.
    """

    kind: Kind
    name: str
    value: str
    places: tuple[str, ...]
    verdict: Verdict
    why: str = ""
    stops: bool = False

    def stopped(self, why: str) -> Item:
        """
        @return: the same, known to refuse the start.
        """
        verdict = self.verdict
        if verdict in HARMLESS or verdict is Verdict.UNKNOWN:
            missing = _MISSING.search(why) is not None
            verdict = Verdict.NOT_YET if missing else Verdict.WRONG
        # It may be there once; that it is not there is what the verdict says.
        why = _SAID.sub("", why)
        if self.why and self.verdict is verdict:
            why = self.why if why in self.why else f"{self.why.rstrip('.')}: {why}"
        return replace(self, verdict=verdict, why=why, stops=True)


@dataclass(frozen=True)
class Report:
    """
    @ivar path: of main.cf.
    @ivar problems: what refuses the start besides.
    @ivar warnings: what the log would say besides.
    """

    path: str
    items: Sequence[Item]
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @property
    def status(self) -> int:
        """
        The exit status.
        """
        if self.problems or any(item.stops for item in self.items):
            return STOPS
        if all(item.verdict in HARMLESS for item in self.items):
            return SAME
        return DIFFERS

    def counts(self) -> Mapping[Verdict, int]:
        """
        @return: how many items have each verdict, in the order of verdicts.
        """
        found = Counter(item.verdict for item in self.items)
        return {verdict: found[verdict] for verdict in Verdict if found[verdict]}
