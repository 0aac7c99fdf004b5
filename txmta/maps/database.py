"""
Tables in SQL databases: what all of them do alike.

Owns: the settings that all clients have, which keys are asked for, "cannot
    say" and "not found".
Knows nothing of: any database, connections.

Sources: Postfix's sqlite_table(5), pgsql_table(5), mysql_table(5);
C{global/db_common.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} at start, later
L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.config.declare import to_words
from txmta.errors import ConfigError, TableUnavailable
from txmta.interfaces import IMatchList, ITable
from txmta.maps.client_file import ClientSettings, from_file, from_main_cf
from txmta.maps.context import TableContext
from txmta.maps.hosts import RETRY, Hosts
from txmta.maps.match import MatchLists
from txmta.maps.statement import Dialect, Statement, read
from txmta.maps.templates import Parts, Templates, parse
from txmta.maps.wire import MAX_REASON
from txmta.maps.workers import IDLE, Broken, Line, Refused, Session, Workers

#: Names of all whose answers are values.
RESULT = ("result_format", "domain", "expansion_limit")

#: Names that all SQL clients have.
COMMON = (
    *("query", *RESULT),
    *("select_field", "table", "where_field", "additional_conditions"),
)

#: Names of those that have a server.
SERVER = (
    *("hosts", "user", "password", "dbname"),
    *("idle_interval", "retry_interval"),
)

_LEGACY = ("select_field", "table", "where_field")

Asked = Sequence[str | None] | Deferred[Sequence[str | None]]


def read_settings(
    name: str, context: TableContext, names: Collection[str]
) -> ClientSettings:
    """
    @param name: a file, or the beginning of names in main.cf.
    @raise ConfigError: there is nothing that could be read.
    """
    where = f"{context.parameter}: {context.spec}"
    try:
        if name[:1] not in ("/", "."):
            return from_main_cf(name, names, context.ways.defined)
        _signature, text = context.ways.read(name)
        return from_file(name, text, names, context.warn)
    except OSError as e:
        raise ConfigError([f"{where}: open {name}: {e.strerror or e}"]) from e
    except (ConfigError, ValueError) as e:
        problems = e.problems if isinstance(e, ConfigError) else (str(e),)
        raise ConfigError([f"{where}: {each}" for each in problems]) from e


def need(context: TableContext, module: str, package: str, extra: str) -> None:
    """
    @param extra: of ours, that has the package.
    @raise ConfigError: the module cannot be imported.
    """
    try:
        import_module(module)
    except ImportError as e:
        raise ConfigError(
            [
                f"{context.parameter}: {context.spec}: needs {package}, which is "
                f"not there ({e}): pip install 'txmta[{extra}]'"
            ]
        ) from e


@dataclass(frozen=True)
class Plan:
    """
    What is asked for which key.

    @ivar domain: only addresses in these; L{None}: any key.
    """

    statement: Statement
    templates: Templates
    domain: IMatchList | None


def make_plan(
    found: ClientSettings, context: TableContext, dialect: Dialect, query: str = ""
) -> Plan:
    """
    @param query: stands for a query that is not there.
    @raise ConfigError: with everything that is wrong in C{found}, which may
        have problems already.
    """
    text = found.text("query") or query or _legacy(found)
    statement = Statement(("",), ())
    try:
        statement = read(text, dialect)
    except ValueError as e:
        found.wrong("query", str(e))
    return plan_of(found, context, statement)


def plan_of(found: ClientSettings, context: TableContext, statement: Statement) -> Plan:
    """
    @param statement: the question.
    @raise ConfigError: with everything that is wrong in C{found}, which may
        have problems already.
    """
    result = parse("%s")
    try:
        result = parse(found.text("result_format") or "%s")
    except ValueError as e:
        found.wrong("result_format", str(e))
    limit = found.count("expansion_limit", 0, -1, 1_000_000)
    domain = _domain(found, context)
    if found.problems:
        where = f"{context.parameter}: {context.spec}"
        raise ConfigError([f"{where}: {each}" for each in found.problems])
    asked = [piece for value in statement.values for piece in value]
    return Plan(statement, Templates(asked, result, limit), domain)


def _legacy(found: ClientSettings) -> str:
    if not any(found.text(name) for name in _LEGACY):
        found.required("query", "SELECT column FROM table WHERE key = '%s'")
        return ""
    field, table, where = (found.required(name, "...") for name in _LEGACY)
    conditions = found.text("additional_conditions")
    return f"SELECT {field} FROM {table} WHERE {where} = '%s' {conditions}"


def _domain(found: ClientSettings, context: TableContext) -> IMatchList | None:
    lists = MatchLists(
        lambda item, _parameter: context.open_table(item),
        (),
        context.seconds,
        context.warn,
        context.ways,
    )
    try:
        items = to_words(found.text("domain"))
        return lists.strings("domain", items) if items else None
    except ValueError as e:
        found.wrong("domain", str(e))
    except ConfigError as e:
        found.problems.extend(f"{found.where}: {each}" for each in e.problems)
    return None


def make_hosts(found: ClientSettings, read: Callable[[str], object]) -> Hosts:
    """
    @param read: raises C{ValueError} for what is no host.
    """
    items = found.text("hosts").replace(",", " ").split() or ["localhost"]
    for item in items:
        try:
            read(item)
        except ValueError as e:
            found.wrong("hosts", str(e))
    return Hosts(items, found.seconds("retry_interval", RETRY, 0, 86400))


def idle_interval(found: ClientSettings) -> float:
    """
    @return: seconds.
    """
    return found.seconds("idle_interval", IDLE, 1, 86400)


def make_table(
    context: TableContext,
    plan: Plan,
    connect: Callable[[], Session],
    most: int,
    first: Session | None = None,
    idle: float = IDLE,
) -> DatabaseTable:
    """
    @param connect: raises L{Broken}.
    @param most: connections.
    @param first: one that is there already.
    @param idle: seconds after which an unused one is closed.
    """
    reactor: Any = context.ways.reactor
    if reactor is not None:
        workers = Workers(context.spec, connect, reactor, most, first, idle)
        return DatabaseTable(context, plan, workers.ask)
    line = Line(connect, first)

    def ask(values: Sequence[str]) -> Sequence[str | None]:
        try:
            return line.ask(values)
        except (Refused, Broken) as e:
            raise TableUnavailable(context.spec, str(e)[:MAX_REASON]) from e

    return DatabaseTable(context, plan, ask)


@implementer(ITable)
class DatabaseTable:
    """
    @ivar ask: gives all values for what is bound; raises
        L{TableUnavailable}, or its Deferred fails with it.
    """

    def __init__(
        self, context: TableContext, plan: Plan, ask: Callable[[Sequence[str]], Asked]
    ) -> None:
        self._spec = context.spec
        self._fold = context.manner.fold
        self._plan = plan
        self._ask = ask

    def lookup(self, key: str) -> str | Deferred[str | None] | None:
        parts = _parts(key, self._fold)
        if parts is None or not self._plan.templates.can_ask(parts):
            return None
        if self._plan.domain is None:
            return self.found(parts)
        if not parts.user or not parts.domain:
            return None
        fits = self._plan.domain.match(parts.domain)
        if isinstance(fits, Deferred):
            return Deferred.fromCoroutine(self._if_it_fits(fits, parts))
        return self.found(parts) if fits else None

    async def _if_it_fits(self, fits: Deferred[bool], parts: Parts) -> str | None:
        if not await fits:
            return None
        found = self.found(parts)
        return await found if isinstance(found, Deferred) else found

    def found(self, parts: Parts) -> str | Deferred[str | None] | None:
        """
        @param parts: of a key that is to be asked for.
        """
        values = self._ask(self._plan.statement.bind(parts))
        if isinstance(values, Deferred):
            return values.addCallback(self._made, parts)
        return self._made(values, parts)

    def _made(self, values: Sequence[str | None], parts: Parts) -> str | None:
        try:
            return self._plan.templates.answer(parts, values)
        except ValueError as e:
            raise TableUnavailable(self._spec, f"{e} for key {parts.whole!r}") from e


def _parts(key: str, fold: Callable[[str], str]) -> Parts | None:
    """
    @return: of the folded key; L{None} for one that no database can have: as
        Postfix, we ask for nothing that is not UTF-8.
    """
    try:
        key.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in key else Parts.of(fold(key))
