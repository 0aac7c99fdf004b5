"""
What becomes of each service of master.cf, and of its arguments.

Owns: verdicts on programs, on flags and attributes of C{pipe}, on other
    arguments.
Knows nothing of: C{-o} (L{txmta.report.parameters}).

Sources: Postfix's master(5), pipe(8), smtp(8).

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from txmta.config.check_services import unread_arguments
from txmta.config.master_cf import Service
from txmta.config.programs import fate
from txmta.delivery.pipe_attributes import FLAGS
from txmta.report.items import OF_STATUS, Item, Kind, Verdict

#: Programs that run a command; what follows C{argv=} is its own.
_COMMANDS = ("pipe", "spawn")


def service_items(
    services: Iterable[Service], agents: Collection[str]
) -> Iterator[Item]:
    """
    @param agents: programs that deliver mail.
    """
    for service in services:
        found = fate(service, agents)
        verdict = OF_STATUS[found.status]
        why = "" if verdict is Verdict.HONOURED else found.note
        name, place = f"{service.name} {service.type}", (service.where,)
        yield Item(
            Kind.SERVICE, name, service.program, place, verdict, why, found.stops
        )
        if service.program == "pipe":
            yield from _pipe(service)
        elif service.program not in (*_COMMANDS, "plugin"):
            for argument in unread_arguments(service):
                why = "nobody reads it yet: remove it if mail can do without"
                yield Item(Kind.ARGUMENT, name, argument, place, Verdict.NOT_YET, why)


def _pipe(service: Service) -> Iterator[Item]:
    name, place = f"{service.name} {service.type}", (service.where,)
    for argument in before_command(service.arguments):
        attribute, _equals, value = argument.partition("=")
        if attribute != "flags":
            yield Item(Kind.ARGUMENT, name, argument, place, Verdict.HONOURED)
            continue
        for flag in value:
            known = flag in FLAGS
            yield Item(
                Kind.ARGUMENT,
                name,
                f"flags={flag}",
                place,
                Verdict.HONOURED if known else Verdict.UNKNOWN,
                "" if known else f"no such flag: there are {FLAGS}",
            )


def before_command(arguments: Sequence[str]) -> Iterator[str]:
    """
    @return: those of pipe itself; of the command, only C{argv=} and its name.
    """
    for argument in arguments:
        if re.fullmatch("-v+", argument):
            continue
        yield argument
        if argument.startswith("argv="):
            return
