"""
C{regexp:}: results by POSIX expression.

Owns: which letters mean what; what becomes of back-references.
Knows nothing of: rules (L{txmta.maps.pattern_reader}), the C library
    (L{txmta.maps.posix_regex}).

Sources: Postfix's regexp_table(5); C{util/dict_regexp.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with a C library that has
other functions; L{TableUnavailable<txmta.errors.TableUnavailable>} for a key
that takes too long.
"""

from __future__ import annotations

from typing import cast

from zope.interface import implementer

from txmta.maps import pcre2, posix_regex
from txmta.maps.context import TableContext
from txmta.maps.pattern_rules import BadExpression, Expression
from txmta.maps.pattern_table import PatternTable, open_patterns
from txmta.maps.posix_syntax import has_back_reference, to_pcre
from txmta.tables import ITableType

_OPTIONS = {
    "i": posix_regex.ICASE,
    "m": posix_regex.NEWLINE,
    "x": posix_regex.EXTENDED,
}
_ON = posix_regex.ICASE | posix_regex.EXTENDED


class RegexpDialect:
    """
    A L{Dialect<txmta.maps.pattern_reader.Dialect>}.
    """

    name = "regexp"
    flags = "".join(_OPTIONS)
    ignored = ""
    pairs = True
    unclosed = "skipping this rule"
    range_words = "out-of-range"

    def compile(self, text: str, flags: str, grouped: bool) -> Expression:
        options = _ON
        for flag in flags:
            options ^= _OPTIONS[flag]
        pattern = text.encode("utf-8", "surrogateescape")
        expression = posix_regex.Expression(pattern, options, grouped)
        if has_back_reference(text):
            return _with_limits(text, options)
        return expression


def _with_limits(text: str, options: int) -> Expression:
    if not options & posix_regex.EXTENDED:
        raise BadExpression(
            "back-reference in a basic expression: leave out the x: skipping this rule"
        )
    try:
        pattern = to_pcre(text).encode("utf-8", "surrogateescape")
        pcre2.library()
    except (ValueError, OSError) as e:
        raise BadExpression(f"back-reference: {e}: skipping this rule") from e
    others = pcre2.DOLLAR_ENDONLY | pcre2.DOTALL
    if options & posix_regex.NEWLINE:
        others = pcre2.MULTILINE
    if options & posix_regex.ICASE:
        others |= pcre2.CASELESS
    return pcre2.Expression(pattern, others)


@implementer(ITableType)
class RegexpType:
    prefix = "regexp"
    self_contained = True

    def open(self, name: str, context: object) -> PatternTable:
        return open_patterns(RegexpDialect(), name, cast(TableContext, context))
