"""
check_policy_service: what another program says.

Owns: when it is asked, what is done when it cannot be.
Knows nothing of: connections (L{txmta.smtp.policy_servers}), what is sent
    (L{txmta.smtp.access.policy_request}).

Sources: Postfix's SMTPD_POLICY_README; C{smtpd/smtpd_check.c}
(check_policy_service).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.smtp.access.access_result import Asked, Results
from txmta.smtp.access.arguments import problems_of
from txmta.smtp.access.check import Answer, Check, Restriction
from txmta.smtp.access.kinds import Kind, Tools, chain
from txmta.smtp.access.policy_request import read_server, request


def make(tools: Tools, argument: str) -> Restriction:
    """
    @param argument: of which L{problem} finds nothing.
    """
    settings = tools.settings
    server = read_server(argument, settings)
    results = Results(tools)
    versions = (
        settings.text("stress"),
        settings.text("compatibility_level"),
        settings.text("mail_version"),
    )

    def ask(check: Check) -> Answer | Deferred[Answer]:
        about, subject = check.about, check.subject

        def act(action: str | None) -> Answer:
            if action is None:
                action = server.default_action
            asked = Asked(check, server.spec, "policy query", about, subject)
            return results.answer(action, asked)

        servers = check.world.policy_servers
        if servers is None:
            return act(None)
        return chain(servers.ask(server, request(check, server.context, versions)), act)

    return ask


def problems(settings: Settings, lists: Sequence[str]) -> list[str]:
    """
    See L{problems_of}.
    """

    def read(argument: str) -> object:
        return read_server(argument, settings)

    return problems_of("check_policy_service", read, settings, lists)


KINDS: Sequence[Kind] = (Kind("check_policy_service", "server", make),)
