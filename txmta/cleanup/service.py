"""
Bring messages into the queue.

Owns: what all messages share: rules of headers, characters that must not be,
    tables that map addresses.
Knows nothing of: the order of things in one message (L{txmta.cleanup.message}).

Sources: Postfix: C{src/cleanup/cleanup_init.c}.

Errors: none.
"""

from __future__ import annotations

from dataclasses import replace

from zope.interface import implementer

from txmta.cleanup.addresses import AddressCompletion
from txmta.cleanup.characters import CharacterFilter, characters
from txmta.cleanup.headers import HeaderRules, HeaderSection, actions
from txmta.cleanup.mapped_message import Held, MappedMessage
from txmta.cleanup.mapper import Mapper
from txmta.cleanup.message import CleanupMessage
from txmta.config.settings import Settings
from txmta.interfaces import (
    IAddressResolver,
    ICleanup,
    IEventSink,
    IQueueEntrance,
)
from txmta.mime import MimeRules
from txmta.model import Envelope, Submission


@implementer(ICleanup)
class Cleanup:
    """
    What all messages share.
    """

    def __init__(
        self,
        settings: Settings,
        store: IQueueEntrance,
        sink: IEventSink,
        addresses: IAddressResolver | None = None,
        mapper: Mapper | None = None,
    ) -> None:
        """
        @param addresses: brings addresses in headers to standard form; without
            it they are completed with myorigin only.
        @param mapper: maps addresses, if any are to be.
        """
        self.settings = settings
        self.sink = sink
        self._store = store
        self.mapper = mapper
        # Bounces whose sender was completed on the way.
        self._daemon = f"mailer-daemon@{settings.myorigin}".lower()
        self.held = Held()
        local = AddressCompletion(
            settings.myorigin, settings.header_address_token_limit, addresses
        )
        self._local = self._rules(local)
        remote = settings.remote_header_rewrite_domain
        self._remote = self._rules(
            AddressCompletion(
                remote, settings.header_address_token_limit, addresses, False
            )
            if remote
            else None
        )
        self.mime_rules = MimeRules(
            settings.header_size_limit,
            settings.mime_nesting_limit,
            settings.mime_boundary_length_limit,
            settings.line_length_limit,
        )
        self._reject = characters(settings.message_reject_characters)
        self._strip = characters(settings.message_strip_characters)

    def _rules(self, completion: AddressCompletion | None) -> HeaderRules:
        settings = self.settings
        return HeaderRules(
            actions(settings.message_drop_headers, completion is not None),
            settings.header_size_limit,
            completion.complete if completion else None,
            completion.is_complete if completion else None,
        )

    def open(
        self, envelope: Envelope, submission: Submission | None = None
    ) -> CleanupMessage:
        if envelope.sender.lower() == self._daemon:
            envelope = replace(envelope, sender="")
        rules = self._local if envelope.local_origin else self._remote
        incoming = self._store.open(envelope)
        section = HeaderSection(rules)
        kind = CleanupMessage if self.mapper is None else MappedMessage
        return kind(self, envelope, incoming, section, submission)

    def characters(self) -> CharacterFilter | None:
        """
        @return: L{None} if all characters are welcome, as is usual.
        """
        if self._reject or self._strip:
            return CharacterFilter(self._reject, self._strip)
        return None
