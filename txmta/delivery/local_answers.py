"""
Answers what the expansion of a local recipient wants to know.

Owns: asking tables, resolver, user database and files; reading files in
    threads; whether we may read them.
Knows nothing of: what the answers are for.

Sources: Postfix C{local/alias.c} (dict_owner), C{local/dotforward.c},
C{local/include.c}.

Errors: L{TableFailure}; L{UserDatabaseError
<txmta.delivery.users.UserDatabaseError>}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from txmta.delivery.context import AgentContext
from txmta.delivery.filesystem import MailboxError
from txmta.delivery.list_files import (
    Read,
    check_home,
    read_forward,
    read_include,
    table_owner,
)
from txmta.delivery.questions import (
    Account,
    AliasOwner,
    Answer,
    CheckHome,
    FindUser,
    Listed,
    LookUp,
    Question,
    ReadForward,
    ReadInclude,
    Resolve,
    Resolved,
    Trouble,
)
from txmta.delivery.rights import Owner
from txmta.delivery.users import Users, find_account_of
from txmta.errors import ConfigError, MailError, TableUnavailable
from txmta.interfaces import ITable
from txmta.search import search

#: Parameters with tables that are searched for a user's name.
USER_MAPS = (
    "mailbox_transport_maps",
    "mailbox_command_maps",
    "fallback_transport_maps",
)

#: Seconds for which it is remembered that a user has no .forward file: a look
#: for each message costs a busy mailbox a tenth. Our own choice.
ABSENT_FOR = 1.0

#: Users of whom that is remembered.
MAX_ABSENT = 10_000


class TableFailure(MailError):
    """
    A table can say neither "found" nor "not found" just now.

    @ivar reason: for the log and the sender, in Postfix's words.
    """

    def __init__(self, parameter: str, error: TableUnavailable) -> None:
        super().__init__(str(error))
        aliases = parameter == "alias_maps"
        self.reason = (
            "alias database unavailable" if aliases else "table lookup failure"
        )


class Answers:
    """
    Answers for one local(8) service.
    """

    def __init__(
        self,
        context: AgentContext,
        users: Users,
        find_uid: Callable[[int], Account | None] = find_account_of,
    ) -> None:
        """
        @param find_uid: the user database, by number.
        @raise ConfigError: there is no address resolver.
        """
        if context.addresses is None:
            raise ConfigError([f"service {context.service}: needs an address resolver"])
        settings = context.settings
        self._context = context
        self._addresses = context.addresses
        self._users = users
        self._rights = context.rights
        self._find_uid = find_uid
        self._absent: dict[tuple[str, ...], float] = {}

        def tables(items: Sequence[str], parameter: str) -> list[ITable]:
            return [context.table(item, parameter) for item in items]

        self._tables = {"alias_maps": tables(settings.alias_maps, "alias_maps")}
        for parameter in USER_MAPS:
            items: tuple[str, ...] = getattr(settings, parameter)
            if items:
                self._tables[parameter] = tables(items, parameter)

    @property
    def user_maps(self) -> frozenset[str]:
        """
        Which of L{USER_MAPS} are set.
        """
        return frozenset(self._tables) - {"alias_maps"}

    async def answer(self, question: Question) -> Answer:
        """
        See L{txmta.delivery.questions}.
        """
        if isinstance(question, LookUp):
            return await self._look_up(question)
        if isinstance(question, Resolve):
            return await self._resolve(question.address)
        if isinstance(question, FindUser):
            return await self._users.find(question.name)
        if isinstance(question, ReadForward):
            return await self._forward(question)
        if isinstance(question, ReadInclude):
            return await self._include(question)
        if isinstance(question, AliasOwner):
            return await self._owner(question.name)
        assert isinstance(question, CheckHome)
        check = self._rights.doing(self._as(question.account), check_home)
        trouble: Trouble | None = await self._context.in_thread(check, question.account)
        return trouble

    def _as(self, account: Account) -> Owner | None:
        """
        @return: with whose rights the user's files are looked at; L{None}: ours.
        """
        if not self._rights.has(account.uid):
            return None
        return Owner(account.uid, account.gid)

    async def _look_up(self, question: LookUp) -> str | None:
        tables = self._tables[question.parameter]
        try:
            value = search(tables, (question.name,))
            return await value if isinstance(value, Deferred) else value
        except TableUnavailable as e:
            raise TableFailure(question.parameter, e) from e

    async def _resolve(self, address: str) -> Resolved:
        address = self._addresses.rewrite(address, True)
        route = self._addresses.resolve(address)
        if isinstance(route, Deferred):
            route = await route
        local = route.transport == self._context.service
        return Resolved(route.recipient, local)

    async def _owner(self, name: str) -> Account | Trouble | None:
        item = await self._table_with(name)
        if item is None:  # it was there a moment ago
            return Trouble("4.3.0", "alias database unavailable")
        try:
            uid: int = await self._context.in_thread(table_owner, item)
        except OSError as e:
            warning = f"cannot find owner of {item}: {e.strerror}"
            return Trouble("4.3.0", "cannot find alias database owner", warning)
        if uid == 0:
            return None
        account: Account | None = await self._context.in_thread(self._find_uid, uid)
        if account is None:
            warning = f"cannot find alias database owner for {item}"
            return Trouble("4.3.0", "cannot find alias database owner", warning)
        return account

    async def _table_with(self, alias: str) -> str | None:
        items = self._context.settings.alias_maps
        try:
            for item, table in zip(items, self._tables["alias_maps"], strict=True):
                value = table.lookup(alias)
                value = await value if isinstance(value, Deferred) else value
                if value is not None:
                    return item
        except TableUnavailable as e:
            raise TableFailure("alias_maps", e) from e
        return None

    async def _forward(self, question: ReadForward) -> Listed | Trouble | None:
        account, paths = question.account, question.paths
        seconds, absent = self._context.clock.seconds, self._absent
        if seconds() < absent.get(paths, 0.0):
            return None
        rights = self._rights
        refusal = "" if rights.has(account.uid) else rights.refusal(account.uid)
        found: Listed | Trouble | None = await self._context.in_thread(
            rights.doing(self._as(account), read_forward), account, paths, refusal
        )
        if found is None:
            while len(absent) >= MAX_ABSENT:
                del absent[next(iter(absent))]
            absent[paths] = seconds() + ABSENT_FOR
        return found

    async def _include(self, question: ReadInclude) -> Listed | Trouble:
        account, path = question.account, question.path
        rights = self._rights
        if account is not None and account.uid == 0:
            account = None
        superuser = account is None
        try:
            if account is None or rights.is_replaced(account.uid):
                # Only root can find what it names, and that is all it does.
                return await self._include_of_root(path, superuser)
            uid = account.uid
            what = f":include: file {path} is to be read as uid {uid}"
            rights.check(uid, what, "run it as that user")
        except MailboxError as e:
            return Trouble(e.status, e.reason)
        found: Listed | Trouble = await self._context.in_thread(
            rights.doing(Owner(uid, account.gid), read_include),
            path,
            False,
            self._find_uid,
        )
        return found

    async def _include_of_root(self, path: str, superuser: bool) -> Listed | Trouble:
        """
        Read a file as its owner; as default_privs, if that is root.
        """
        rights, name = self._rights, self._context.settings.default_privs
        default: Owner | None = None
        if rights.powerful:
            account = await self._users.find(name)
            if account is None or rights.is_replaced(account.uid):
                raise MailboxError("4.3.5", f"default_privs = {name}: no such user")
            default = Owner(account.uid, account.gid)

        def reading(owner: Account | None, work: Read) -> Read:
            known = owner is not None and rights.has(owner.uid)
            return rights.doing(self._as(owner) if owner and known else default, work)

        found: Listed | Trouble = await self._context.in_thread(
            read_include,
            path,
            superuser,
            self._find_uid,
            reading,
            name if rights.powerful else "",
        )
        return found
