"""
The system's user database, asked in a thread.

Sources: Postfix C{global/mypwd.c}; getpwnam(3).

Errors: L{UserDatabaseError}.
"""

from __future__ import annotations

import pwd
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.delivery.questions import Account
from txmta.errors import MailError

#: Seconds for which an account is remembered. Only those found: an account
#: that is just being made must not bounce for longer than it takes.
LIFETIME = 10.0

#: Accounts remembered.
MAX_ACCOUNTS = 10_000


class UserDatabaseError(MailError):
    """
    The user database can say neither "found" nor "not found" just now.
    """


def find_account(name: str) -> Account | None:
    """
    Blocks.

    @raise UserDatabaseError: we cannot say.
    """
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: NUL, or not to be encoded
        return None
    except OSError as e:
        raise UserDatabaseError(f"error looking up passwd info for {name}: {e}") from e
    return _account(entry)


def find_account_of(uid: int) -> Account | None:
    """
    As L{find_account}, by number.
    """
    try:
        return _account(pwd.getpwuid(uid))
    except (KeyError, OverflowError):
        return None
    except OSError as e:
        raise UserDatabaseError(
            f"error looking up passwd info for uid {uid}: {e}"
        ) from e


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(
        entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell
    )


class Users:
    """
    Remembers accounts for a short while.
    """

    def __init__(
        self,
        in_thread: Callable[..., Deferred[Any]],
        clock: IReactorTime,
        find: Callable[[str], Account | None] = find_account,
    ) -> None:
        self._in_thread = in_thread
        self._clock = clock
        self._find = find
        self._known: dict[str, tuple[float, Account]] = {}

    async def find(self, name: str) -> Account | None:
        """
        @raise UserDatabaseError: we cannot say.
        """
        known = self._known.get(name)
        if known is not None and self._clock.seconds() < known[0]:
            return known[1]
        account: Account | None = await self._in_thread(self._find, name)
        if account is not None:
            while len(self._known) >= MAX_ACCOUNTS:
                del self._known[next(iter(self._known))]
            self._known[name] = (self._clock.seconds() + LIFETIME, account)
        return account
