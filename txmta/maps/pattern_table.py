"""
Tables of C{regexp:} and C{pcre:}.

Owns: which parameters may not use C{$1}; that a search which is given up is
    no answer.
Knows nothing of: rules (L{txmta.maps.pattern_reader}).

Sources: Postfix's transport(5), aliases(5), REGULAR EXPRESSION TABLES;
virtual(8), SECURITY.

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} for a key that takes
too long.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from txmta.errors import TableUnavailable
from txmta.maps.context import TableContext
from txmta.maps.pattern_reader import Dialect, RuleReader
from txmta.maps.pattern_rules import RuleSet, TooSlow
from txmta.maps.rule_source import Skips, open_rules
from txmta.tables import ITable

#: Where a sender could choose, by C{$1}, where mail goes or who is the owner of
#: a file.
NO_SUBSTITUTION = frozenset(
    {
        "alias_database",
        "alias_maps",
        "sender_dependent_default_transport_maps",
        "sender_dependent_relayhost_maps",
        "transport_maps",
        "virtual_gid_maps",
        "virtual_mailbox_maps",
        "virtual_uid_maps",
    }
)


@implementer(ITable)
class PatternTable:
    """
    @ivar by_pattern: parts of a key, such as parent domains, are not asked for.
    """

    by_pattern = True

    def __init__(
        self, rules: Callable[[], RuleSet], spec: str, warn: Callable[[str], None]
    ) -> None:
        """
        @param rules: gives the rules as they are now.
        """
        self._rules = rules
        self._spec = spec
        self._warn = warn

    def lookup(self, key: str) -> str | None:
        if "\0" in key:
            return None  # no text of a C program
        try:
            return self._rules().find(key)
        except TooSlow as e:
            self._warn(f"{self._spec}: {e}: no answer; simplify this expression")
            raise TableUnavailable(self._spec, str(e)) from e


def open_patterns(dialect: Dialect, name: str, context: TableContext) -> PatternTable:
    """
    @raise ConfigError: the rules cannot be read.
    """
    substitution = not context.aliases and context.parameter not in NO_SUBSTITUTION

    def parse(text: str, skips: Skips) -> RuleSet:
        convert = context.value if context.manner.files else None
        return RuleReader(dialect, name, skips, substitution, convert).read(text)

    rules = open_rules(dialect.name, name, context, parse)
    return PatternTable(rules, context.spec, context.warn)
