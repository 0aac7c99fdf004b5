"""
Declarations of parameters that no code of ours reads.

Owns: what becomes of a value that is set all the same.
Knows nothing of: which parameters there are
    (L{txmta.config.parameters.every}).

Each says, beside its description, one of L{stop}, L{warn}, L{idle}, L{gone}
and L{refuse}, with the reason. They are no part of
L{Settings<txmta.config.settings.Settings>}, and loaded only when somebody asks
for one: most processes never do. Whoever makes one work declares it in a group
of the settings, and takes it out here.

Sources: Postfix's postconf(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from txmta.config import declare
from txmta.config.declare import Parameter, Status


@dataclass(frozen=True)
class Effect:
    """
    What becomes of a value other than the default.

    @ivar note: why, or what to do.
    @ivar stops: it refuses the start; else a warning, or nothing.
    @ivar harmless: values, in lower case, that do not stop all the same.
    """

    status: Status
    note: str
    stops: bool = False
    harmless: Sequence[str] = ()


def stop(note: str, *harmless: str) -> Effect:
    """
    Not there yet; ignoring it could admit, expose, lose or misroute mail.
    """
    return Effect(Status.NOT_YET, note, True, harmless)


def warn(note: str) -> Effect:
    """
    Not there yet; ignoring it does none of that.
    """
    return Effect(Status.NOT_YET, note)


def idle(note: str) -> Effect:
    """
    Nothing here depends on it.
    """
    return Effect(Status.NO_EFFECT, note)


def gone(note: str) -> Effect:
    """
    Obsolete, in Postfix too.
    """
    return Effect(Status.OBSOLETE, note)


def refuse(note: str) -> Effect:
    """
    Will not be there.
    """
    return Effect(Status.REFUSED, note, True)


#: Of what asks for TLS, and of ways of TLS that no library has any more.
NEED_TLS = stop("there is no TLS yet: remove the line if plain text will do")
OLD_TLS = gone("Old ways of TLS, of which no library has any left.")


class Later(Parameter[Any]):
    """
    A declaration with its L{Effect}.
    """

    def __init__(self, base: Parameter[Any], effect: Effect) -> None:
        super().__init__(
            base.default,
            base.convert,
            kind=base.kind,
            doc=base.doc,
            status=effect.status,
            note=effect.note,
            expand=base.expand,
        )
        self.effect = effect

    def remedy(self, text: str) -> str:
        """
        @param text: expanded, not the default.
        @return: why it stops the start, and what to do; C{""} if it does not.
        """
        effect = self.effect
        if not effect.stops or text.strip().lower() in effect.harmless:
            return ""
        return effect.note


def flag(default: str, effect: Effect, doc: str) -> Later:
    """
    C{yes} or C{no}.
    """
    return Later(declare.boolean(default, doc=doc), effect)


def number(default: str, effect: Effect, doc: str, low: int = 0) -> Later:
    """
    A whole number.
    """
    return Later(declare.count(default, doc=doc, low=low), effect)


def seconds(
    default: str, effect: Effect, doc: str, unit: str = "s", low: int = 0
) -> Later:
    """
    A time.

    @param unit: what a bare number means.
    """
    return Later(declare.time(default, doc=doc, unit=unit, low=low), effect)


def text(default: str, effect: Effect, doc: str, expand: bool = True) -> Later:
    """
    Any text.
    """
    return Later(declare.string(default, doc=doc, expand=expand), effect)


def one_of(default: str, choices: Sequence[str], effect: Effect, doc: str) -> Later:
    """
    One of a few words.
    """
    return Later(declare.choice(default, choices, doc=doc), effect)


def items(default: str, effect: Effect, doc: str) -> Later:
    """
    A list of words.
    """
    return Later(declare.words(default, doc=doc), effect)


def tables(default: str, effect: Effect, doc: str) -> Later:
    """
    A list of C{type:name}.
    """
    return Later(declare.words(default, doc=doc, kind="tables"), effect)
