"""
What is wrong, and what is doubtful, in the services of master.cf.

Owns: programs that serve nothing, C{-o} that nobody reads, transports that do
    not exist.
Knows nothing of: values of parameters (L{txmta.config.check}), sockets.

Sources: Postfix's master(5), postconf(5).

Errors: none: all is in C{problems}, C{warnings}, C{notes}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from txmta.config.declare import Status
from txmta.config.master_cf import BUILT_IN, Service, service_settings
from txmta.config.programs import EVERYWHERE, LISTENERS, Fate, fate
from txmta.config.settings import FAMILIES, Settings
from txmta.errors import ConfigError

_TRANSPORTS = (
    "local_transport",
    "virtual_transport",
    "relay_transport",
    "default_transport",
    "mailbox_transport",
    "fallback_transport",
)


#: Whose mail a transport is for: without such domains it is not missed.
_DOMAINS = {
    "local_transport": "mydestination",
    "virtual_transport": "virtual_mailbox_domains",
    "relay_transport": "relay_domains",
}

#: Programs of which one service counts, and which one that is.
_ONLY = {
    "qmgr": "queue_service_name",
    "trivial-rewrite": "rewrite_service_name",
}

#: Programs that are told more than C{-o}. Those of plug-ins say so themselves.
_WITH_ARGUMENTS = ("pipe", "plugin", "spawn")


class ServiceChecks:
    """
    @ivar problems: each refuses the start; file and line come first.
    @ivar not_yet: those of the problems that --allow-not-yet allows.
    @ivar warnings: for the log.
    @ivar notes: for the log; nothing is wrong.
    """

    def __init__(
        self, settings: Settings, services: Sequence[Service], agents: Collection[str]
    ) -> None:
        """
        @param services: at least one.
        @param agents: programs that deliver mail.
        """
        self._settings = settings
        self._services = services
        self._agents = agents
        self.problems: list[str] = []
        self.not_yet: list[str] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        fates = [(service, fate(service, agents)) for service in services]
        for service, found in fates:
            self._service(service, found)
        self._explain([s for s, found in fates if found.status is Status.NO_EFFECT])
        self._jails()
        if not any(s.type == "inet" and s.program in LISTENERS for s in services):
            self.warnings.append("no smtpd service of type inet: nothing will listen")
        for name in _TRANSPORTS:
            self._transport(name)
        self._cleanups()
        self._detours()

    def _service(self, service: Service, found: Fate) -> None:
        line = f"{service.where}: {service.name} {service.type}: {service.program}"
        if found.stops:
            self.problems.append(f"{line}: {found.note}")
            if found.status is Status.NOT_YET:
                self.not_yet.append(self.problems[-1])
        elif found.status is Status.NOT_YET:
            self.warnings.append(f"{line}: not started: {found.note}")
        elif unread := list(self._unread(service, found)):
            self.warnings.append(
                f"{line}: nobody reads -o {', '.join(unread)} of this service: write "
                "it in main.cf if it should count"
            )
        for argument in unread_arguments(service) if found.own else ():
            self.warnings.append(
                f"{line}: nobody reads {argument} yet: remove it if mail can do without"
            )

    def _unread(self, service: Service, found: Fate) -> Iterator[str]:
        if self._is_spare(service):
            return iter(set(service.overrides) - set(EVERYWHERE))
        return unread_overrides(service, found)

    def _is_spare(self, service: Service) -> bool:
        """
        @return: there is one, and this is another.
        """
        parameter = _ONLY.get(service.program)
        return parameter is not None and service.name != self._settings.text(parameter)

    def _detours(self) -> None:
        """
        Mail of a service that has a queue manager, or addresses resolved, of
        its own would go the way of all other.
        """
        for service in self._services:
            for program, parameter in _ONLY.items():
                name = service.overrides.get(parameter)
                for other in self._services:
                    if (other.program, other.name) != (program, name):
                        continue
                    special = set(other.overrides) - set(EVERYWHERE)
                    if self._is_spare(other) and special:
                        self.problems.append(
                            f"{service.where}: {parameter} = {name}: there is one "
                            f"{program} for all, and mail would not go the way that "
                            f"{name} says: remove the line, or give it a server of "
                            "its own"
                        )
                        self.not_yet.append(self.problems[-1])

    def _explain(self, services: Sequence[Service]) -> None:
        services = [s for s in services if s.where != BUILT_IN]
        if services:
            names = ", ".join(dict.fromkeys(s.name for s in services))
            self.notes.append(
                f"master.cf: parts of other processes here, not processes: {names}"
            )

    def _jails(self) -> None:
        jailed = [s.name for s in self._services if s.chroot]
        if jailed and not self._settings.several_processes:
            self.warnings.append(
                f"chroot in master.cf has no effect in one process "
                f"({len(jailed)} services)"
            )

    def _cleanups(self) -> None:
        """
        Who takes mail must have a cleanup service, if it names one.
        """
        named = {s.name for s in self._services if s.program == "cleanup"}
        if not named:
            return  # ours is there anyway, with the settings of main.cf
        for service in self._services:
            if service.program not in ("smtpd", "pickup"):
                continue
            if "cleanup_service_name" not in service.overrides:
                continue
            try:
                name = service_settings(self._settings, service).cleanup_service_name
            except ConfigError:
                continue  # told by others
            if name not in named:
                self.problems.append(
                    f"{service.where}: cleanup_service_name = {name}: master.cf has no "
                    f"service {name} with the program cleanup: write one of "
                    f"{', '.join(sorted(named))}"
                )

    def _transport(self, name: str) -> None:
        text = self._settings.text(name)
        transport = text.partition(":")[0].strip()
        programs = [
            s.program
            for s in self._services
            if s.name == transport and s.type == "unix"
        ]
        if not transport or any(program in self._agents for program in programs):
            return
        definition = self._settings.definitions.get(name)
        where = definition.where if definition else "default"
        if definition is None and not self._has_mail_for(name):
            return
        usable = sorted({s.name for s in self._services if s.program in self._agents})
        what = (
            f"the program {programs[0]} is not supported yet"
            if programs
            else f"master.cf has no service {transport} of type unix"
        )
        self.problems.append(
            f"{where}: {name} = {text}: {what}: write one of {', '.join(usable)}"
        )

    def _has_mail_for(self, transport: str) -> bool:
        domains = _DOMAINS.get(transport)
        return domains is None or bool(self._settings.text(domains).strip())


def unread_overrides(service: Service, found: Fate) -> Iterator[str]:
    """
    @return: names of C{-o} that count for nothing at this service, though they
        may elsewhere.
    """
    for name in service.overrides:
        if name in EVERYWHERE:
            continue
        if not found.own or is_of_scheduler(name, service):
            yield name


def unread_arguments(service: Service) -> Sequence[str]:
    """
    @return: arguments of a service, besides C{-o}, that count for nothing. Of
        C{-v}, C{-D} and the like nobody expects anything.
    """
    if service.program in _WITH_ARGUMENTS or "/" in service.program:
        return ()
    return [each for each in service.arguments if not each.startswith("-")]


def is_of_scheduler(name: str, service: Service) -> bool:
    """
    @return: C{<transport>_destination_concurrency_limit} and its kin at a
        transport: the queue manager reads main.cf only, in Postfix too.
    """
    if service.program == "qmgr" or service.type != "unix":
        return False
    suffix = name.removeprefix(f"{service.name}_")
    return suffix != name and suffix in FAMILIES and suffix != "time_limit"
