"""
C{pcre:}: results by Perl expression.

Owns: which letters mean what.
Knows nothing of: rules (L{txmta.maps.pattern_reader}), the library
    (L{txmta.maps.pcre2}).

Sources: Postfix's pcre_table(5); C{util/dict_pcre.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} without the library;
L{TableUnavailable<txmta.errors.TableUnavailable>} for a key that takes too long.
"""

from __future__ import annotations

from typing import cast

from twisted.plugin import IPlugin
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.interfaces import ITableType
from txmta.maps import pcre2
from txmta.maps.context import TableContext
from txmta.maps.pattern_rules import BadExpression, Budget, Expression, Groups
from txmta.maps.pattern_table import PatternTable, open_patterns

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


class _Either:
    """
    An expression for text, and for octets that are no UTF-8.

    Postfix does not look up the latter at all. Here they are searched as
    octets, or a filter could be passed with a wrong one.

    @ivar groups: how many it has.
    """

    def __init__(self, pattern: bytes, options: int) -> None:
        self._text = pcre2.Expression(pattern, options | pcre2.UTF)
        self.groups = self._text.groups
        try:
            self._octets = pcre2.Expression(pattern, options)
        except BadExpression:
            self._octets = self._text  # "\x{100}": it is never compared

    def search(self, key: bytes, budget: Budget) -> bool:
        expression = self._for(key)
        return expression is not None and expression.search(key, budget)

    def find(self, key: bytes, budget: Budget) -> Groups | None:
        expression = self._for(key)
        return None if expression is None else expression.find(key, budget)

    def _for(self, key: bytes) -> pcre2.Expression | None:
        if key.isascii():
            return self._text
        try:
            key.decode("utf-8")
        except UnicodeDecodeError:
            return None if self._octets is self._text else self._octets
        return self._text


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
        return _Either(text.encode("utf-8", "surrogateescape"), options)


@implementer(IPlugin, ITableType)
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
