"""
Which clients may speak for others, are listened to, and are offered other things.

Owns: these questions.
Knows nothing of: what they may say then (L{txmta.smtp.privileged}).

Sources: Postfix C{smtpd/smtpd.c} (smtpd_authorized_xclient_hosts,
smtpd_authorized_xforward_hosts, smtpd_discard_ehlo_keyword_address_maps), C{util/
debug_peer.c}.

Errors: none: a list that cannot be read lists nobody, which the log tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from txmta.errors import TableUnavailable
from txmta.events import Warn
from txmta.interfaces import IClientList, IEventSink, ITable
from txmta.model import Client

Verbs = tuple[str, ...]


@dataclass(frozen=True)
class Privileges:
    """
    @ivar xclient: smtpd_authorized_xclient_hosts; L{None}: nobody.
    @ivar xforward: smtpd_authorized_xforward_hosts.
    @ivar debug: debug_peer_list.
    @ivar discards: smtpd_discard_ehlo_keyword_address_maps.
    """

    sink: IEventSink
    xclient: IClientList | None
    xforward: IClientList | None
    debug: IClientList | None = None
    discards: Sequence[ITable] = ()

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
        for verb, names in (
            ("XCLIENT", self.xclient),
            ("XFORWARD", self.xforward),
            ("DEBUG", self.debug),
        ):
            if names is not None and await self._lists(names, client):
                found.append(verb)
        return (*found, *await self._discarded(client))

    async def _discarded(self, client: Client) -> Verbs:
        """
        @return: EHLO keywords that this client is not offered, C{"-SIZE"};
            nothing if it is as everybody.
        """
        for table in self.discards:
            try:
                found = table.lookup(client.address)
                if isinstance(found, Deferred):
                    found = await found
            except TableUnavailable as e:
                self.sink.emit(Warn("smtpd", str(e)))
                return ()
            if found is not None:
                words = found.replace(",", " ").upper().split()
                return ("-", *(f"-{word}" for word in words))
        return ()

    async def _again(self, client: Client, before: Verbs) -> Verbs:
        kept = tuple(v for v in before if v != "XCLIENT" and v[0] != "-")
        kept += await self._discarded(client)
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
    sink: IEventSink,
    lists: Callable[[str], IClientList],
    named: Callable[[str], bool],
    discards: Sequence[ITable] = (),
) -> Privileges | None:
    """
    @param lists: makes the list of a parameter.
    @param named: a parameter names anybody.
    @param discards: smtpd_discard_ehlo_keyword_address_maps.
    @return: L{None}: nobody has any, all are offered the same.
    """
    xclient, xforward, debug = [
        lists(name) if named(name) else None
        for name in (
            "smtpd_authorized_xclient_hosts",
            "smtpd_authorized_xforward_hosts",
            "debug_peer_list",
        )
    ]
    if discards or not xclient is xforward is debug is None:
        return Privileges(sink, xclient, xforward, debug, discards)
    return None
