"""
Commands of clients, replaced by a table: smtpd_command_filter.

Owns: which tables can do that, asking them.
Knows nothing of: sessions, commands.

Sources: Postfix C{smtpd/smtpd.c} (smtpd_proto).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from txmta.errors import TableUnavailable
from txmta.interfaces import ITable

CommandFilter = Callable[[bytes], bytes | None]

#: Tables that answer at once: each command waits for them.
AT_ONCE = frozenset(
    (
        *("pcre", "regexp", "inline", "static", "texthash", "hash", "btree"),
        *("cdb", "lmdb", "pipemap", "unionmap"),
    )
)


def problems(items: Sequence[str]) -> list[str]:
    """
    @return: why these cannot be asked for each command.
    """
    return [
        f"smtpd_command_filter: {item}: every command would wait for it: write one "
        f"of {', '.join(sorted(AT_ONCE))}"
        for item in items
        if item.partition(":")[0] not in AT_ONCE
    ]


def command_filter(tables: Sequence[ITable]) -> CommandFilter | None:
    """
    @return: gives what to read instead of a command, or L{None}.
    """
    if not tables:
        return None

    def found(line: bytes) -> bytes | None:
        key = line.decode("utf-8", "surrogateescape")
        for table in tables:
            value = table.lookup(key)
            if isinstance(value, Deferred):
                raise TableUnavailable(
                    "smtpd_command_filter", "does not answer at once"
                )
            if value is not None:
                return value.encode("utf-8", "surrogateescape")
        return None

    return found
