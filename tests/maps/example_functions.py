"""
Functions for C{python:} tables.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from txmta.errors import TableUnavailable

#: No function.
NUMBER = 1


def plain(key: str) -> str | None:
    return "value" if key == "key" else None


def later(key: str) -> Deferred[str | None]:
    return succeed(plain(key))


async def coroutine(key: str) -> str | None:
    return await later(key)


def broken(key: str) -> str:
    raise LookupError(f"no\n{key}")


async def broken_later(key: str) -> str:
    return broken(key)


def unavailable(key: str) -> str:
    raise TableUnavailable("sql:x", "gone")


def octets(key: str) -> bytes:
    return b"value"


def endless(key: str) -> str:
    return "x" * 1_000_000
