"""
Put an SMTP server together from settings and what other packages provide.

Owns: which setting goes where.
Knows nothing of: listening, processes (C{build.py}).

Sources: none.

Errors: L{ConfigError<txmta.errors.ConfigError>}.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txmta.config.settings import Settings
from txmta.dns_filter import ALL, FilteredResolver
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import (
    IAddressResolver,
    ICleanup,
    IClientList,
    IClientNames,
    IEventSink,
    IPolicyServers,
    IPostmaster,
    IQueueEntrance,
    IResolver,
    ITable,
)
from txmta.smtp.access.by_dns_list import problems as dns_list_problems
from txmta.smtp.access.by_rate import problems as rate_problems
from txmta.smtp.access.check import RateCounts, World
from txmta.smtp.access.dns_asking import record_types
from txmta.smtp.access.kinds import Tools as AccessTools
from txmta.smtp.access.policy import LISTS, Policy, codes
from txmta.smtp.access.policy_service import problems as policy_problems
from txmta.smtp.access.validate import problems_of_lists
from txmta.smtp.anvil import Anvil, ClientLimits, Counts, Where
from txmta.smtp.command_filter import command_filter
from txmta.smtp.command_filter import problems as filter_problems
from txmta.smtp.context import Context, Timeouts
from txmta.smtp.delivery import Deliveries, Desk
from txmta.smtp.factory import Crowd, SMTPServerFactory
from txmta.smtp.footer import problem as footer_problem
from txmta.smtp.own_tally import OwnTally
from txmta.smtp.privileges import Privileges, privileges
from txmta.smtp.rules import Rules
from txmta.smtp.sasl.backends import Tools, logins
from txmta.smtp.sasl.backends import problems as login_problems
from txmta.smtp.seats import Seats
from txmta.smtp.space import Space
from txmta.smtp.stress import Room, Stress
from txmta.smtp.tls.server import problems as tls_problems
from txmta.smtp.tls.server import server_tls
from txmta.tls_files import Read, read


@dataclass(frozen=True)
class Services:
    """
    What an SMTP server needs of the other packages.

    @ivar clock: monotonic.
    @ivar now: wall time.
    @ivar open_list: makes a match list of the items of the parameter named.
    @ivar own: IP addresses of inet_interfaces and proxy_interfaces.
    @ivar postmaster: hears of trouble in sessions, if he wants to.
    @ivar open_table: opens C{type:name} of the parameter named, if any has one.
    @ivar counts: of all processes; L{None}: this one counts alone.
    @ivar login: for smtpd_sasl_auth_enable, if that is set.
    @ivar policy_servers: for check_policy_service; L{None}: none can be asked.
    @ivar rates: for check_rate_limit; L{None}: nothing is counted.
    @ivar read_file: gives what is in a file of keys or certificates.
    @ivar resolver: for restrictions; L{None}: they get no answers.
    """

    clock: IReactorTime
    now: Callable[[], float]
    sink: IEventSink
    cleanup: ICleanup
    store: IQueueEntrance
    addresses: IAddressResolver
    names: IClientNames
    open_list: Callable[[str], IClientList]
    own: Container[str]
    postmaster: IPostmaster | None = None
    open_table: Callable[[str, str], ITable] | None = None
    counts: Counts | None = None
    login: Tools | None = None
    policy_servers: IPolicyServers | None = None
    rates: RateCounts | None = None
    resolver: IResolver | None = None
    read_file: Read = read


def problems(settings: Settings, read_file: Read = read) -> list[str]:
    """
    @param read_file: gives what is in a file of keys or certificates.
    @return: why a server with these settings must not start, one line each.
    """
    lists = tuple(LISTS)
    found = [
        *problems_of_lists(settings),
        *policy_problems(settings, lists),
        *rate_problems(settings, lists),
        *dns_list_problems(settings, lists),
    ]
    try:
        Rules.of(settings)
    except ValueError as e:
        found.append(f"smtpd_forbidden_commands: {e}")
    found += [trouble] if (trouble := footer_problem(settings)) else []
    found += filter_problems(settings.smtpd_command_filter)
    return [*found, *login_problems(settings), *tls_problems(settings, read_file)]


def server_factory(
    settings: Settings,
    services: Services,
    service: str = "smtp",
    total: int = 0,
    seats: Seats | None = None,
    room: Room | None = None,
) -> SMTPServerFactory:
    """
    @param settings: of this service in master.cf.
    @param service: its name there.
    @param total: connections at a time, 0 for no limit.
    @param seats: for its sessions.
    @param room: for sessions; L{None}: as for any number.
    @raise ConfigError: L{problems} has something.
    """
    found = problems(settings, services.read_file)
    if found:
        raise ConfigError(found)
    context = Context(
        rules=_rules(settings, services),
        clock=services.clock,
        sink=services.sink,
        names=services.names,
        timeouts=_timeouts(settings),
        lookup=settings.smtpd_peername_lookup,
        postmaster=services.postmaster,
        logins=logins(settings, services.login),
        privileges=_privileges(settings, services),
        tls=server_tls(settings, services.read_file),
    )
    crowd = Crowd(
        exempt=services.open_list("smtpd_client_event_limit_exceptions"),
        spared=services.open_list("smtpd_forbid_bare_newline_exclusions"),
        anvil=anvil(settings, services, service),
        prefixes=_prefixes(settings),
        total=total,
        seats=seats,
        stress=stress_of(room, service, services),
        known=services.open_list("mynetworks"),
    )
    deliveries = Deliveries(desk(settings, services))
    factory = SMTPServerFactory(context, crowd, deliveries)
    if room is not None:
        factory.stressed = _stressed(context, deliveries, settings, services)
    return factory


def _stressed(
    context: Context, deliveries: Deliveries, settings: Settings, services: Services
) -> tuple[Context, Deliveries]:
    """
    @return: the same, but for what a client may do, and for how long.
    """
    stressed = settings.override({"stress": "yes"})
    rules = replace(context.rules, limits=Rules.of(stressed).limits)
    context = replace(context, rules=rules, timeouts=_timeouts(stressed))
    if context.tls is not None:
        patience = stressed.smtpd_starttls_timeout
        context = replace(context, tls=replace(context.tls, timeout=patience))
    if _decided_by_stress(settings):
        deliveries = Deliveries(desk(stressed, services))
    return context, deliveries


def _rules(settings: Settings, services: Services) -> Rules:
    tables = _tables("smtpd_command_filter", settings, services)
    return replace(Rules.of(settings), command_filter=command_filter(tables))


def _privileges(settings: Settings, services: Services) -> Privileges | None:
    return privileges(
        services.sink,
        services.open_list,
        lambda name: bool(getattr(settings, name)),
        _tables("smtpd_discard_ehlo_keyword_address_maps", settings, services),
    )


def _prefixes(settings: Settings) -> tuple[int, int]:
    return (
        settings.smtpd_client_ipv4_prefix_length,
        settings.smtpd_client_ipv6_prefix_length,
    )


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        idle=settings.smtpd_timeout,
        per_request=settings.smtpd_per_request_deadline,
        min_rate=settings.smtpd_min_data_rate,
    )


def stress_of(room: Room | None, service: str, services: Services) -> Stress | None:
    """
    @param service: its name in master.cf.
    """
    if room is None or not room.limit:
        return None
    return Stress(room, service, services.clock, services.sink)


def _decided_by_stress(settings: Settings) -> bool:
    """
    @return: restrictions may differ under stress, or those may whom they ask.
    """
    texts = [each.text for each in settings.definitions.values()]
    return any("stress" in text or "policy_service" in text for text in texts)


def anvil(settings: Settings, services: Services, service: str) -> Anvil | None:
    """
    @param service: its name in master.cf.
    @return: what limits single clients, if anything does.
    """
    limits = ClientLimits.of(settings)
    if not limits:
        return None
    return Anvil(
        services.counts or OwnTally(),
        limits,
        Where(service, settings.myhostname),
        services.clock,
        services.sink,
    )


def desk(settings: Settings, services: Services) -> Desk:
    """
    @return: what the deliveries of this server share.
    """
    sink = services.sink
    world = World(
        services.addresses,
        services.open_list("mynetworks"),
        services.own,
        codes(settings),
        partial(deferLater, services.clock),
        services.policy_servers,
        services.rates,
        _resolver(settings, services),
        record_types(settings.inet_protocols),
        tuple(word.lower() for word in settings.smtpd_log_access_permit_actions),
    )
    return Desk(
        sink=sink,
        cleanup=services.cleanup,
        store=services.store,
        world=world,
        policy=Policy.of(settings, _access_tools(settings, services, world)),
        space=Space(
            (settings.queue_minfree, settings.message_size_limit),
            services.store.free_space,
            lambda text: sink.emit(Warn("smtpd", text)),
        ),
        now=services.now,
        origin=tuple(w.lower() for w in settings.local_header_rewrite_clients),
        origin_tables=_tables("local_header_rewrite_clients", settings, services),
    )


def _access_tools(settings: Settings, services: Services, world: World) -> AccessTools:
    """
    @return: what the restrictions of this server are made of.
    """

    def open_table(item: str) -> ITable:
        assert services.open_table is not None, "who has no tables gets none"
        return services.open_table(item, "smtpd_recipient_restrictions")

    return AccessTools(settings, world, open_table, services.open_list)


def _resolver(settings: Settings, services: Services) -> IResolver | None:
    """
    @return: who asks the DNS for restrictions, perhaps through a filter.
    """
    name = "smtpd_dns_reply_filter"
    tables = _tables(name, settings, services)
    inner = services.resolver
    if inner is None or not tables:
        return inner

    def warn(text: str) -> None:
        services.sink.emit(Warn("smtpd", text))

    return FilteredResolver(inner, name, tables, warn, ALL)


def _tables(
    parameter: str, settings: Settings, services: Services
) -> tuple[ITable, ...]:
    """
    @return: the tables among the items of a parameter.
    """
    items = [item for item in getattr(settings, parameter) if ":" in item]
    opened = services.open_table
    assert opened is not None or not items, "who has no tables gets none"
    return tuple([opened(item, parameter) for item in items]) if opened else ()
