"""
Cleanup, with the tables that map addresses.

Owns: which parameter goes where; what is opened.
Knows nothing of: who takes the mail.

Sources: Postfix C{cleanup/cleanup_init.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>}: a table cannot be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred

from txmta.address import literal_address
from txmta.cleanup.answers import Answers
from txmta.cleanup.mapper import Mapper
from txmta.cleanup.mapping import (
    ENVELOPE_RECIPIENT,
    ENVELOPE_SENDER,
    HEADER_RECIPIENT,
    HEADER_SENDER,
    MappingRules,
)
from txmta.cleanup.service import Cleanup
from txmta.cleanup.virtual_alias import AliasLimits
from txmta.config.addresses import own_addresses
from txmta.config.settings import Settings
from txmta.errors import ConfigError
from txmta.interfaces import IEventSink, IMatchList, IQueueEntrance, ITable
from txmta.roles.shared import Tables

#: Parameters with tables that map addresses.
MAPS = (
    *("sender_canonical_maps", "recipient_canonical_maps", "canonical_maps"),
    *("virtual_alias_maps", "sender_bcc_maps", "recipient_bcc_maps"),
)

#: For each class of addresses, whose tables: the special ones come first.
_CANONICAL = {
    ENVELOPE_SENDER: ("sender_canonical", "canonical"),
    HEADER_SENDER: ("sender_canonical", "canonical"),
    ENVELOPE_RECIPIENT: ("recipient_canonical", "canonical"),
    HEADER_RECIPIENT: ("recipient_canonical", "canonical"),
}


def make_cleanup(
    settings: Settings, store: IQueueEntrance, sink: IEventSink, tables: Tables
) -> Cleanup:
    """
    @param settings: that count for cleanup of what one service takes.
    @raise ConfigError: with all that cannot be opened.
    """
    mapper = None
    if "no_address_mappings" not in settings.receive_override_options:
        mapper = make_mapper(settings, sink, tables)
    return Cleanup(settings, store, sink, tables.addresses, mapper)


def make_mapper(settings: Settings, sink: IEventSink, tables: Tables) -> Mapper | None:
    """
    @return: L{None} if no address is to be mapped.
    @raise ConfigError: with all that cannot be opened.
    """
    opened = _open(settings, tables)
    rules = _rules(settings, tables, opened)
    if not (opened or rules.masquerade or rules.always_bcc):
        return None
    exceptions: IMatchList | None = None
    if rules.exceptions:
        name = "masquerade_exceptions"
        exceptions = tables.lists.strings(name, settings.masquerade_exceptions)
    answers = Answers(
        opened, _locality(settings, tables), exceptions, settings.recipient_delimiter
    )
    return Mapper(rules, answers, sink)


def _open(settings: Settings, tables: Tables) -> Mapping[str, Sequence[ITable]]:
    opened: dict[str, Sequence[ITable]] = {}
    problems: list[str] = []
    for name in MAPS:
        found: list[ITable] = []
        for item in getattr(settings, name):
            try:
                found.append(tables.registry.table(item, name))
            except ConfigError as e:
                problems += e.problems
        if found:
            opened[name] = found
    if problems:
        raise ConfigError(problems)
    return opened


def _rules(
    settings: Settings, tables: Tables, opened: Mapping[str, Sequence[ITable]]
) -> MappingRules:
    canonical = {
        each: [
            f"{name}_maps"
            for name in names
            if f"{name}_maps" in opened and each in getattr(settings, f"{name}_classes")
        ]
        for each, names in _CANONICAL.items()
    }
    domains = [word.casefold() for word in settings.masquerade_domains]
    return MappingRules(
        rewrite=lambda address: tables.addresses.rewrite(address, True),
        canonical=canonical,
        masquerade=frozenset(settings.masquerade_classes if domains else ()),
        masquerade_domains=domains,
        exceptions=bool(settings.masquerade_exceptions),
        propagate=frozenset(
            word.lower() for word in settings.propagate_unmatched_extensions
        ),
        asked=frozenset(opened),
        always_bcc=settings.always_bcc,
        limits=AliasLimits(
            settings.virtual_alias_expansion_limit,
            settings.virtual_alias_recursion_limit,
            settings.virtual_alias_address_length_limit,
        ),
        token_limit=settings.header_address_token_limit,
        duplicate_limit=settings.duplicate_filter_limit,
        originals=settings.enable_original_recipient,
    )


def _locality(
    settings: Settings, tables: Tables
) -> Callable[[str], bool | Deferred[bool]]:
    """
    @return: tells whether a domain is myorigin, or ours.
    """
    mine = tables.lists.strings("mydestination", settings.mydestination)
    origin, own = settings.myorigin.lower(), own_addresses(settings)

    def is_local(domain: str) -> bool | Deferred[bool]:
        if not domain or domain.lower() == origin:
            return True
        address = literal_address(domain)
        if address is not None:
            return address in own
        return mine.match(domain)

    return is_local
