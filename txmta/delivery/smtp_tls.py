"""
Which TLS a server needs: main.cf, tables, DNS.

Owns: asking the tables and DNS, and what it means when they do not answer; what
    of main.cf is read when an agent is made.
Knows nothing of: handshakes (L{txmta.smtp.client_tls}), the syntax of policies
    (L{txmta.smtp.client_tls_policy}).

Sources: Postfix C{smtp/smtp_tls_policy.c}, RFC 7672 section 2.

Errors: L{NoPolicy}: mail to this server waits. L{ConfigError} when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.smtp_dane import Dane
from txmta.delivery.smtp_fallback import Ages
from txmta.delivery.smtp_hosts import Destination
from txmta.delivery.smtp_tls_settings import (
    defaults,
    general_level,
    make_client,
    tables_used,
    wanted,
)
from txmta.errors import ConfigError, TableUnavailable
from txmta.events import Note
from txmta.interfaces import IEventSink, IResolver, ITable
from txmta.search import search
from txmta.smtp.client_events import Target
from txmta.smtp.client_tls import ClientTls, TlsStart
from txmta.smtp.client_tls_policy import (
    BadPolicy,
    Defaults,
    Policy,
    Site,
    complete,
    ignored,
    keys,
    named,
    parse,
    per_site,
)
from txmta.smtp.client_trouble import Trouble


class NoPolicy(Exception):
    """
    Nothing may be said to this server now.
    """

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


BAD_POLICY = Trouble("4.7.5", "client TLS configuration problem")
NO_TABLE = Trouble("4.3.0", "Temporary lookup error")


@dataclass(frozen=True)
class Tables:
    """
    @ivar policies: smtp_tls_policy_maps; C{sites}: smtp_tls_per_site.
    @ivar name: of the parameter, for warnings.
    """

    policies: Sequence[ITable] = ()
    sites: Sequence[ITable] = ()
    name: str = "smtp_tls_policy_maps"


class TlsPolicies:
    """
    Those of one agent.
    """

    def __init__(
        self,
        client: ClientTls,
        tables: Tables,
        general: Defaults,
        dane: Dane,
        ages: Ages,
        warn: Callable[[str], None],
    ) -> None:
        """
        @param warn: gets what an administrator should know.
        """
        self._client = client
        self._tables = tables
        self._general = general
        self._dane = dane
        self._ages = ages
        self._warn = warn

    async def base(self, nexthop: str) -> Policy:
        """
        @param nexthop: as it was routed to.
        @return: what the next hop alone says, so that connections can be looked
            for before hosts are.
        @raise NoPolicy: it cannot be had.
        """
        tables = self._tables
        try:
            site = await self._site(nexthop)
            return complete(site, self._general)
        except TableUnavailable as e:
            self._warn(f"{tables.name}: {e}")
            raise NoPolicy(NO_TABLE) from e
        except BadPolicy as e:
            self._warn(f'{tables.name}, next-hop destination "{nexthop}": {e}')
            raise NoPolicy(BAD_POLICY) from e

    async def policy(self, destination: Destination, target: Target) -> Policy:
        """
        @return: what is demanded of one host.
        @raise NoPolicy: it cannot be had.
        """
        policy = await self.base(destination.text)
        if self._tables.sites and not self._tables.policies:
            policy = await self._by_host(destination, target)
        if not policy.level:
            return policy
        if policy.level.dane:
            found = await self._dane.apply(policy, destination, target)
            if isinstance(found, Trouble):
                raise NoPolicy(found)
            policy = found
        return named(policy, destination.host, target.host)

    def plain_after(self, start: TlsStart | None, arrival: float) -> bool:
        """
        @param start: what failed; C{arrival}: of the message.
        @return: whether it goes in clear text now.
        """
        return start is not None and self._ages.plain_after(start.policy, arrival)

    async def start(self, destination: Destination, target: Target) -> TlsStart | None:
        """
        @return: what does TLS with this host; L{None} where there is none.
        @raise NoPolicy: it cannot be had, or the library cannot do what it wants.
        """
        client, policy = self._client, await self.policy(destination, target)
        if client.wrapper and not policy.level.required:
            self._warn(
                f"{target.relay}: TLS from the first octet on requires the level "
                "encrypt (or stronger)"
            )
            raise NoPolicy(BAD_POLICY)
        if not policy.level:
            return None
        try:
            for path in policy.anchors:
                client.load(path)
            return client.start(policy, target)
        except ConfigError as e:
            for problem in e.problems:
                self._warn(f"{target.relay}: {problem}")
            raise NoPolicy(BAD_POLICY) from e

    async def _site(self, nexthop: str) -> Site:
        tables, level = self._tables, self._general.level
        if tables.policies:
            for key in keys(nexthop):
                text = await _ask(tables.policies, key)
                if text is not None:
                    for word in ignored(text):
                        self._warn(
                            f'{tables.name}, next-hop destination "{key}": ignoring '
                            f'attribute "{word}" with TLS disabled'
                        )
                    return parse(text)
        elif tables.sites:
            text = await _ask(tables.sites, nexthop)
            return Site(per_site(level, text, None)[0])
        return Site(level)

    async def _by_host(self, destination: Destination, target: Target) -> Policy:
        sites, nexthop = self._tables.sites, destination.text
        try:
            found = await _ask(sites, nexthop)
            host = None
            if nexthop.lower() != target.host.lower():
                host = await _ask(sites, target.host)
            level, _ = per_site(self._general.level, found, host)
            return complete(Site(level), self._general)
        except TableUnavailable as e:
            raise NoPolicy(NO_TABLE) from e
        except BadPolicy as e:
            self._warn(f"{self._tables.name}: {e}")
            raise NoPolicy(BAD_POLICY) from e


async def _ask(tables: Sequence[ITable], key: str) -> str | None:
    answer = search(tables, (key,))
    return await answer if isinstance(answer, Deferred) else answer


def note_offers(sink: IEventSink, program: str) -> Callable[[str], None]:
    """
    @return: what tells the log of a host that offers STARTTLS in vain.
    """
    return lambda host: sink.emit(Note(program, f"Host offered STARTTLS: [{host}]"))


def make_policies(
    context: AgentContext,
    settings: Settings,
    named_as: Callable[[str], str],
    resolver: IResolver,
    warn: Callable[[str], None],
) -> TlsPolicies | None:
    """
    @param settings: with C{smtp_} parameters, of lmtp too.
    @param named_as: gives the name of a parameter in main.cf.
    @return: L{None}: there is no TLS, for no server.
    @raise ConfigError: what is set cannot be used.
    """
    if not wanted(settings):
        return None
    policies = named_as("smtp_tls_policy_maps")
    found = tables_used(settings)
    opened: Mapping[str, list[ITable]] = {
        name: [context.table(item, named_as(name)) for item in items]
        for name, items in found.items()
    }
    tables = Tables(
        opened["smtp_tls_policy_maps"],
        opened["smtp_tls_per_site"],
        policies if found["smtp_tls_policy_maps"] else named_as("smtp_tls_per_site"),
    )
    general = replace(defaults(settings), level=general_level(settings))
    ages = Ages(context.now, settings.minimal_backoff_time)
    client = make_client(context, settings, named_as, warn)
    return TlsPolicies(
        client, tables, general, Dane(settings, resolver, warn), ages, warn
    )
