"""
Whose message headers are completed and mapped (local_header_rewrite_clients).

Owns: what each item of the list means.
Knows nothing of: transactions.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_rewrite).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>}.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from twisted.internet.defer import Deferred

from txmta.interfaces import ITable
from txmta.smtp.access.check import World
from txmta.smtp.session import Session


def trusted(
    names: Collection[str], tables: Sequence[ITable], world: World, session: Session
) -> bool | Deferred[bool]:
    """
    @param names: local_header_rewrite_clients, in lower case.
    @param tables: the tables among these.
    """
    known = _by_name(names, world, session)
    if tables and known is not True:
        return Deferred.fromCoroutine(_in_tables(tables, known, session))
    return known


def _by_name(
    names: Collection[str], world: World, session: Session
) -> bool | Deferred[bool]:
    client = session.client
    if "permit_inet_interfaces" in names and client.address in world.own:
        return True
    if "permit_sasl_authenticated" in names and session.login is not None:
        return True
    if "permit_mynetworks" in names:
        return world.mynetworks.match_client(client.name, client.address)
    return False


async def _in_tables(
    tables: Sequence[ITable], known: bool | Deferred[bool], session: Session
) -> bool:
    """
    @param known: what is known without tables.
    """
    yes = await known if isinstance(known, Deferred) else known
    for table in tables:
        if yes:
            break
        found = table.lookup(session.client.address)
        if isinstance(found, Deferred):
            found = await found
        yes = found is not None
    return yes
