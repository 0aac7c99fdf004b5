"""
Which level of TLS is demanded of a next hop.

Owns: asking the policies of the transport's own agent.
Knows nothing of: hosts of the next hop: what DANE finds there is not known before.

Errors: none leaves here: what cannot be known says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from txmta.config.master_cf import Service
from txmta.config.parameters.lmtp import LMTP_NAMES
from txmta.delivery.context import AgentContext
from txmta.delivery.lmtp import lmtp_settings
from txmta.delivery.smtp_tls import NoPolicy, make_policies
from txmta.errors import ConfigError
from txmta.events import Warn
from txmta.interfaces import IResolver
from txmta.roles.shared import Shared, Tables


class TlsLevels:
    """
    Those of all transports.
    """

    def __init__(self, shared: Shared, tables: Tables, resolver: IResolver) -> None:
        self._shared = shared
        self._tables = tables
        self._resolver = resolver
        self._made: dict[str, Any] = {}

    async def level(self, transport: str, nexthop: str) -> str:
        """
        @return: as main.cf has it; C{""} for a transport that speaks no SMTP.
        """
        service = _agent(self._shared.services, transport)
        if service is None:
            return ""
        try:
            if transport not in self._made:
                self._made[transport] = self._policies(service)
            policies = self._made[transport]
            if policies is None:
                return "none"
            word: str = (await policies.base(nexthop)).level.word
            return word
        except NoPolicy as e:
            return f"cannot say: {e.trouble.reason}"
        except ConfigError as e:
            return f"cannot say: {e.problems[0]}"

    def _policies(self, service: Service) -> Any:
        shared, lmtp = self._shared, service.program == "lmtp"
        settings = shared.of(service)
        if lmtp:
            settings = lmtp_settings(settings)

        def named(name: str) -> str:
            return LMTP_NAMES.get(name, name) if lmtp else name

        def warn(text: str) -> None:
            shared.sink.emit(Warn("smtp", text))

        nobody: Any = None  # no work is done in threads
        context = AgentContext(
            service.name,
            settings,
            shared.reactor,
            shared.reactor,
            time.time,
            self._resolver,
            shared.sink,
            self._tables.registry.table,
            nobody,
        )
        return make_policies(context, settings, named, self._resolver, warn)


def _agent(services: Sequence[Service], transport: str) -> Service | None:
    """
    @return: the service of a transport, if it is an SMTP or LMTP client.
    """
    for each in services:
        if each.type == "unix" and each.name == transport:
            return each if each.program in ("smtp", "lmtp") else None
    return None
