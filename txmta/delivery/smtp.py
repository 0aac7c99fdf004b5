"""
The smtp(8) and lmtp(8) agents: mail leaves for other hosts.

They are one program, as in Postfix; what differs is in L{txmta.delivery.lmtp}.

Owns: turning the settings into rules for those who do the work.
Knows nothing of: the work.

Sources: Postfix C{src/smtp/smtp.c}, smtp(8), lmtp(8).

Errors: L{ConfigError} when the agent is made: a setting cannot be used.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from txmta.config.addresses import own_addresses, own_interfaces
from txmta.config.parameters.lmtp import LMTP_NAMES
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.delivery.generic import make_generic
from txmta.delivery.lmtp import (
    LmtpLookup,
    lmtp_nexthop,
    lmtp_settings,
    split_nexthop,
)
from txmta.delivery.outgoing_headers import make_headers
from txmta.delivery.smtp_connections import KeepRules, KeptConnections
from txmta.delivery.smtp_delivery import DeliveryRules, SmtpDelivery, Tools
from txmta.delivery.smtp_filters import reply_filter, resolver
from txmta.delivery.smtp_hosts import OrderRules, numeric, plain_host, port_number
from txmta.delivery.smtp_logins import Logins, make_logins
from txmta.delivery.smtp_lookup import HostLookup, LookupRules, Native
from txmta.delivery.smtp_tls import make_policies, note_offers
from txmta.delivery.tokens import make_tokens
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IDeliveryAgent
from txmta.mime import MimeRules
from txmta.model import DeliveryRequest, Outcome
from txmta.smtp.client import Limits
from txmta.smtp.client_dial import Dialler, DialRules
from txmta.smtp.client_events import ClientRules, Target
from txmta.smtp.client_forwarding import ignored
from txmta.smtp.client_trouble import Trouble

#: Puts hosts of equal preference in random order.
Shuffle = Callable[[list[Target]], None]


@implementer(IDeliveryAgent)
class SmtpAgent:
    """
    Delivers by SMTP, or by LMTP.
    """

    def __init__(
        self,
        context: AgentContext,
        shuffle: Shuffle = random.shuffle,
        lmtp: bool = False,
    ) -> None:
        """
        @param shuffle: chance; a test decides.
        """
        settings = lmtp_settings(context.settings) if lmtp else context.settings
        self.answers_probes = True
        self.name = "lmtp" if lmtp else "smtp"
        named = partial(_named, lmtp=lmtp)

        def warn(text: str) -> None:
            context.sink.emit(Warn(self.name, text))

        self.kept = KeptConnections(context.clock, keep_rules(settings))
        native = None
        if "native" in settings.smtp_host_lookup or _without_dns(settings):
            native = native_lookup(context.in_thread, settings.inet_protocols)
        rules = lookup_rules(settings, shuffle, native)
        name = named("smtp_reply_filter")
        replies = reply_filter(context, settings.smtp_reply_filter, name, self.name)
        dial, delivery = dial_rules(settings, lmtp), delivery_rules(settings, lmtp)
        dial = replace(dial, client=replace(dial.client, reply_filter=replies))
        if settings.smtp_tls_note_starttls_offer:
            dial = replace(dial, offers=note_offers(context.sink, self.name))
        name = named("smtp_dns_reply_filter")
        names = resolver(context, settings.smtp_dns_reply_filter, name, self.name)
        lookup = HostLookup(names, rules, warn)
        if lmtp:
            lookup = LmtpLookup(names, replace(rules, mx=False), warn)
            lookup.myhostname = settings.myhostname
        generic = make_generic(context, settings, named("smtp_generic_maps"), warn)
        name = named("smtp_header_checks")
        self._tools = Tools(
            delivery,
            lookup,
            Dialler(context.reactor, context.clock, dial, warn, context.postmaster),
            self.kept,
            context.clock,
            context.sink,
            generic,
            make_headers(context, settings, name, self.name, generic),
            _logins(context, settings, lmtp),
            make_policies(context, settings, named, names, warn),
        )

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        """
        See L{IDeliveryAgent.deliver}.
        """
        return Deferred.fromCoroutine(SmtpDelivery(request, report, self._tools).run())

    def stop(self) -> None:
        """
        Say goodbye to all idle connections. Deliveries in hand go on.
        """
        self.kept.stop()


def lmtp_agent(context: AgentContext, shuffle: Shuffle = random.shuffle) -> SmtpAgent:
    """
    @return: what delivers by LMTP.
    """
    return SmtpAgent(context, shuffle, lmtp=True)


def _without_dns(settings: Settings) -> bool:
    level = settings.smtp_dns_support_level
    return level == "disabled" or (not level and settings.disable_dns_lookups)


def lookup_rules(
    settings: Settings, shuffle: Shuffle, native: Native | None
) -> LookupRules:
    """
    Which questions are asked, and in which order the answers are used.
    """
    dns = not _without_dns(settings)
    both = len(settings.inet_protocols) > 1
    order = OrderRules(
        own_addresses(settings),
        settings.smtp_address_preference if both else "any",
        settings.smtp_balance_inet_protocols,
        settings.smtp_mx_address_limit,
        shuffle if settings.smtp_randomize_addresses else None,
    )
    return LookupRules(
        order,
        [{"ipv4": "A", "ipv6": "AAAA"}[p] for p in settings.inet_protocols],
        mx=dns,
        dns=dns and "dns" in settings.smtp_host_lookup,
        native=native,
        ignore_mx_error=settings.ignore_mx_lookup_error,
        defer_no_address=settings.smtp_defer_if_no_mx_address_found,
    )


def dial_rules(settings: Settings, lmtp: bool = False) -> DialRules:
    """
    How a server is met.
    """
    client = ClientRules(
        settings.smtp_helo_name,
        settings.smtp_always_send_ehlo,
        settings.smtp_never_send_ehlo,
        settings.smtp_skip_5xx_greeting,
        settings.smtp_quote_rfc821_envelope,
        ignored(settings),
        lmtp=lmtp,
    )
    return DialRules(
        client,
        limits(settings),
        "" if lmtp else settings.myhostname,
        settings.smtp_connect_timeout,
        _source(settings, _named("smtp_bind_address", lmtp), "ipv4"),
        _source(settings, _named("smtp_bind_address6", lmtp), "ipv6"),
        settings.smtp_bind_address_enforce,
        settings.queue_directory,
    )


def _named(name: str, lmtp: bool) -> str:
    return LMTP_NAMES.get(name, name) if lmtp else name


def _logins(context: AgentContext, settings: Settings, lmtp: bool) -> Logins | None:
    tokens = make_tokens(context, settings, _named("smtp_sasl_token_maps", lmtp))
    return make_logins(context, settings, partial(_named, lmtp=lmtp), tokens)


def limits(settings: Settings) -> Limits:
    """
    How long each stage may take.
    """
    helo = settings.smtp_helo_timeout
    seconds = (
        helo,  # greeting
        helo,  # EHLO
        helo,  # HELO
        helo,  # LHLO
        settings.smtp_starttls_timeout,
        helo,  # AUTH
        settings.smtp_starttls_timeout,  # the handshake
        0,  # idle
        *(settings.smtp_rset_timeout, *(settings.smtp_xforward_timeout,) * 2),
        settings.smtp_mail_timeout,
        settings.smtp_rcpt_timeout,
        settings.smtp_data_init_timeout,
        settings.smtp_data_xfer_timeout,
        settings.smtp_data_done_timeout,
        settings.smtp_data_done_timeout,  # of a dot for nobody
        settings.smtp_quit_timeout,
        0,  # closed
    )
    return Limits(
        seconds,
        settings.smtp_line_length_limit,
        await_goodbye=not settings.smtp_skip_quit_response,
        conversion=None if settings.disable_mime_output_conversion else _mime(settings),
    )


def _mime(settings: Settings) -> MimeRules:
    return MimeRules(
        settings.header_size_limit,
        settings.mime_nesting_limit,
        settings.mime_boundary_length_limit,
        settings.line_length_limit,
        convert=True,
    )


def _source(settings: Settings, name: str, protocol: str) -> str:
    """
    @return: the address to connect from, C{""} for any. If mail comes in at
        one address only, it goes out from there too.
    """
    text = getattr(settings, name)
    if text:
        address = numeric(text.strip("[]"))
        if address is None or (":" in address) != (protocol == "ipv6"):
            raise ConfigError(
                [f"{name} = {text}: is no {protocol} address: write one, or nothing"]
            )
        return address
    every = own_interfaces(
        settings.inet_interfaces, settings.inet_protocols, settings.system
    )
    own = [i for i in every if (":" in i.address) == (protocol == "ipv6")]
    if len(own) == 1 and settings.inet_interfaces != ("all",):
        address = own[0].address
        if address != "::1" and not address.startswith("127."):
            return address
    return ""


def keep_rules(settings: Settings) -> KeepRules:
    """
    How long connections wait.
    """
    return KeepRules(
        settings.smtp_connection_cache_time_limit,
        settings.smtp_connection_reuse_time_limit,
        settings.smtp_connection_reuse_count_limit,
    )


def delivery_rules(settings: Settings, lmtp: bool = False) -> DeliveryRules:
    """
    How much is tried.
    """
    try:
        port = port_number(settings.smtp_tcp_port)
    except ValueError as e:
        name = _named("smtp_tcp_port", lmtp)
        problem = f"{name} = {settings.smtp_tcp_port}: {e}: write a number"
        raise ConfigError([problem]) from e
    always = frozenset(settings.smtp_connection_cache_destinations)
    on_demand = settings.smtp_connection_cache_on_demand
    rules = DeliveryRules(
        port,
        settings.smtp_fallback_relay,
        settings.text("relayhost"),
        settings.smtp_mx_address_limit,
        settings.smtp_mx_session_limit,
        settings.smtp_line_length_limit,
        keep=lambda nexthop: on_demand or plain_host(nexthop) in always,
    )
    if not lmtp:
        return rules
    return replace(
        rules,
        final=settings.lmtp_assume_final,
        program="lmtp",
        split=split_nexthop,
        parse=lmtp_nexthop,
    )


def native_lookup(
    in_thread: Callable[..., Deferred[Any]], protocols: Sequence[str]
) -> Native:
    """
    Ask the system's own name service, which also reads /etc/hosts.
    """
    families = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
    wanted = [families[p] for p in protocols]

    def lookup(host: str) -> Deferred[Sequence[str] | Trouble]:
        def found(answer: list[Any]) -> Sequence[str] | Trouble:
            addresses = [
                numeric(entry[4][0].partition("%")[0])
                for entry in answer
                if entry[0] in wanted
            ]
            unique = list(dict.fromkeys(a for a in addresses if a))
            return unique or Trouble("5.4.4", f"{host}: host not found")

        def failed(failure: Failure) -> Trouble:
            failure.trap(OSError)
            return _native_trouble(host, failure)

        looked_up = in_thread(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        return looked_up.addCallbacks(found, failed)

    return lookup


def _native_trouble(host: str, failure: Failure) -> Trouble:
    error = failure.value
    words = f"unable to look up host {host}: {getattr(error, 'strerror', error)}"
    missing = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    if isinstance(error, socket.gaierror) and error.errno in missing:
        return Trouble("5.4.4", words)
    return Trouble("4.4.4", words)
