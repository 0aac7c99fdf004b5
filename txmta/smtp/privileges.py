"""
Which clients may speak for others.

Owns: this question.
Knows nothing of: what they may say then (L{txmta.smtp.privileged}).

Sources: Postfix C{smtpd/smtpd.c} (smtpd_authorized_xclient_hosts,
smtpd_authorized_xforward_hosts).

Errors: none: a list that cannot be read lists nobody, which the log tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from txmta.events import Warn
from txmta.interfaces import IClientList, IEventSink
from txmta.model import Client

Verbs = tuple[str, ...]


@dataclass(frozen=True)
class Privileges:
    """
    @ivar xclient: smtpd_authorized_xclient_hosts; L{None}: nobody.
    @ivar xforward: smtpd_authorized_xforward_hosts.
    """

    sink: IEventSink
    xclient: IClientList | None
    xforward: IClientList | None

    def of(self, client: Client) -> Verbs | Deferred[Verbs]:
        """
        @return: what a client that connects may use.
        """
        return Deferred.fromCoroutine(self._of(client))

    def again(self, client: Client, before: Verbs) -> Deferred[Verbs]:
        """
        As Postfix: who has become another by XCLIENT may use it again only if
        that one may; and XFORWARD if the first one might.
        """
        return Deferred.fromCoroutine(self._again(client, before))

    async def _of(self, client: Client) -> Verbs:
        found: list[str] = []
        for verb, names in (("XCLIENT", self.xclient), ("XFORWARD", self.xforward)):
            if names is not None and await self._lists(names, client):
                found.append(verb)
        return tuple(found)

    async def _again(self, client: Client, before: Verbs) -> Verbs:
        kept = tuple(verb for verb in before if verb != "XCLIENT")
        if self.xclient is not None and await self._lists(self.xclient, client):
            return ("XCLIENT", *kept)
        return kept

    async def _lists(self, names: IClientList, client: Client) -> bool:
        try:
            match = names.match_client(client.name, client.address)
            return await match if isinstance(match, Deferred) else match
        except Exception as e:
            self.sink.emit(Warn("smtpd", str(e)))
            return False


def privileges(
    sink: IEventSink, lists: Callable[[str], IClientList], named: Callable[[str], bool]
) -> Privileges | None:
    """
    @param lists: makes the list of a parameter.
    @param named: a parameter names anybody.
    @return: L{None}: nobody has any.
    """
    found = [
        lists(name) if named(name) else None
        for name in (
            "smtpd_authorized_xclient_hosts",
            "smtpd_authorized_xforward_hosts",
        )
    ]
    if found == [None, None]:
        return None
    return Privileges(sink, *found)
