"""
Which roles a server of several processes has.

Owns: what of main.cf and master.cf asks for each.
Knows nothing of: how many processes each gets (L{txmta.multi}).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.config.snapshot import Configuration
from txmta.master.binding import port_of
from txmta.master.sockets import listens
from txmta.roles.agents import role_of, transports
from txmta.roles.proxymap import askable


def roles_needed(configuration: Configuration) -> Sequence[str]:
    """
    @return: in the order in which they start.
    """
    settings, services = configuration.settings, configuration.services
    agents = {role_of(service) for service in transports(services)}
    wanted = (
        ("log", True),
        # Before all who may ask it.
        ("proxymap", bool(askable(configuration))),
        ("qmgr", True),
        ("pickup", any(service.program == "pickup" for service in services)),
        ("smtp", "smtp" in agents),
        ("local", "local" in agents),
        ("smtpd", bool(listens(services, settings, port_of))),
    )
    return tuple(role for role, needed in wanted if needed)
