"""
C{pcre:}: results by Perl expression.

As in Postfix a dot is an octet: of a letter in UTF-8 it matches a part.

Owns: which letters mean what.
Knows nothing of: rules (L{txmta.maps.pattern_reader}), the library
    (L{txmta.maps.pcre2}).

Sources: Postfix's pcre_table(5); C{util/dict_pcre.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} without the library;
L{TableUnavailable<txmta.errors.TableUnavailable>} for a key that takes too long.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.maps import pcre2
from txmta.maps.context import TableContext
from txmta.maps.pattern_rules import Expression
from txmta.maps.pattern_table import PatternTable, open_patterns
from txmta.tables import ITableType

_OPTIONS = {
    "i": pcre2.CASELESS,
    "m": pcre2.MULTILINE,
    "s": pcre2.DOTALL,
    "x": pcre2.EXTENDED,
    "A": pcre2.ANCHORED,
    "E": pcre2.DOLLAR_ENDONLY,
    "U": pcre2.UNGREEDY,
}
_ON = pcre2.CASELESS | pcre2.DOTALL


class PcreDialect:
    """
    A L{Dialect<txmta.maps.pattern_reader.Dialect>}.
    """

    name = "pcre"
    flags = "".join(_OPTIONS)
    ignored = "X"
    pairs = False
    unclosed = "ignoring this rule"
    range_words = "out of range"

    def compile(self, text: str, flags: str, grouped: bool) -> Expression:
        options = _ON
        for flag in flags:
            options ^= _OPTIONS[flag]
        return pcre2.Expression(text.encode("utf-8", "surrogateescape"), options)


@implementer(ITableType)
class PcreType:
    prefix = "pcre"
    self_contained = True

    def open(self, name: str, context: object) -> PatternTable:
        context = cast(TableContext, context)
        try:
            pcre2.library()
        except OSError as e:
            raise ConfigError(
                [
                    f"{context.parameter}: {context.spec}: no {pcre2.LIBRARY}: "
                    "install PCRE2 (Debian: libpcre2-8-0), or use regexp:"
                ]
            ) from e
        return open_patterns(PcreDialect(), name, context)
