"""
Put a question to the SMTP server that a configuration makes: the very parts that
the running server is made of, with somebody watching.

Owns: what is made instead of a network, a queue and cleanup; the order of stages.
Knows nothing of: what restrictions say, how an answer is shown.

Nothing is stored, sent or counted; but policy servers and DNS are really asked.

Errors: L{ConfigError<txmta.errors.ConfigError>}: the server could not start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import ensureDeferred

from txmta.build import Configuration, load
from txmta.config.master_cf import Service
from txmta.errors import ConfigError, MailError
from txmta.explain.answer import Destination, Explanation
from txmta.explain.doubles import Log, NoCleanup, NoStore, Watching, with_reactor
from txmta.explain.question import Question
from txmta.explain.stages import Asking, now, shown
from txmta.explain.tls_level import TlsLevels
from txmta.explain.trace import Row, Trace, WatchedResolver
from txmta.maps.context import PLAIN
from txmta.model import (
    Client,
    ClientName,
    Envelope,
    Login,
    Recipient,
    Route,
    TLSInfo,
)
from txmta.roles.cleanup import make_mapper
from txmta.roles.services import cleanup_settings
from txmta.roles.shared import Shared
from txmta.roles.smtpd import SmtpdParts, SmtpdRole
from txmta.smtp.delivery import Deliveries
from txmta.smtp.service import desk
from txmta.smtp.session import Session

#: Seconds for one question, whomever it has to wait for.
PATIENCE = 60.0


class Server:
    """
    The SMTP server of a configuration, to be asked.
    """

    def __init__(self, configuration: Configuration, reactor: Any) -> None:
        """
        @raise ConfigError: it could not start.
        """
        self._trace = Trace()
        self._log = Log()
        self._reactor = reactor
        self.services = configuration.services
        ways = replace(PLAIN, watch=self._trace.watch)
        self._shared = Shared(
            configuration.settings,
            configuration.services,
            reactor,
            time.time,
            self._log,
            ways,
        )
        self._tables = self._shared.open_tables()
        self._resolver = WatchedResolver(self._shared.make_resolver(), self._trace.add)
        self._levels = TlsLevels(self._shared, self._tables, self._resolver)
        nothing: Any = None
        store: Any = NoStore()
        parts = SmtpdParts(self._tables, self._resolver, store, nothing, nothing)
        self._role = SmtpdRole(self._shared, parts)

    def service(self, name: str) -> Service:
        """
        @param name: as in master.cf; C{""}: the first one.
        @raise ConfigError: there is none.
        """
        found = [s for s in self.services if s.type == "inet" and s.program == "smtpd"]
        for each in found:
            if not name or each.name == name or each.name.rpartition(":")[2] == name:
                return each
        known = ", ".join(each.name for each in found) or "none"
        raise ConfigError([f"service: {name}: there is no such SMTP server: {known}"])

    async def explain(self, question: Question) -> Explanation:
        """
        @raise ConfigError: what is asked is not in this configuration.
        """
        service = self.service(question.service)
        settings = self._shared.of(service)
        services = replace(
            self._role.services(service, settings), cleanup=NoCleanup(), rates=None
        )
        made = desk(settings, services)
        policy: Any = Watching(made.policy, self._trace)
        deliveries = Deliveries(replace(made, policy=policy))
        self._take()
        client = await self._client(question, services.names)
        session = Session(client)
        if question.tls:
            session.tls = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, 256)
        if question.login:
            session.login = Login(question.login, "PLAIN")
        asking = Asking(deliveries, session, question, self._take)
        await asking.run()
        found = Explanation(
            question,
            client.label,
            service.name,
            asking.reply.code,
            shown(asking.reply),
            asking.refused_at,
            tuple(asking.stages),
        )
        if not asking.refused_at:
            found = await self._routes(found, service)
        log, self._log.lines = tuple(self._log.lines), []
        return replace(found, log=log)

    def _take(self) -> tuple[Row, ...]:
        """
        @return: what was tried since the last call.
        """
        rows, self._trace.rows = tuple(self._trace.rows), []
        return rows

    async def _client(self, question: Question, names: Any) -> Client:
        address, name = question.peer()
        found = ClientName(name, name) if name else await now(names.name(address))
        return Client(
            address,
            0,
            found.name,
            found.reverse_name,
            name_status=found.name_status,
            reverse_status=found.reverse_status,
        )

    async def _routes(self, found: Explanation, service: Service) -> Explanation:
        """
        Where the message would go.
        """
        addresses, question = self._tables.addresses, found.question
        standard = addresses.rewrite(question.recipient, True)
        sender = question.sender and addresses.rewrite(question.sender, True)
        steps = [("recipient, in standard form", standard)]
        if sender != question.sender:
            steps.append(("sender, in standard form", sender))
        one = (Recipient(0, standard, question.recipient),)
        envelope = Envelope("EXPLAIN", time.time(), sender, one, Client("192.0.2.1", 0))
        mapper = make_mapper(
            cleanup_settings(self._shared, service), self._log, self._tables
        )
        try:
            if mapper is not None:
                envelope = await now(mapper.envelope(envelope))
            if envelope.sender != sender:
                steps.append(("sender, as tables map it", envelope.sender))
            mapped = [each.address for each in envelope.recipients]
            if mapped != [standard]:
                steps += [("recipient, as tables map it", each) for each in mapped]
            places = []
            for each in mapped:
                route = await now(addresses.resolve(each, envelope.sender))
                tls = await self._levels.level(route.transport, route.nexthop)
                places.append(_destination(each, route, tls))
        except MailError as e:
            steps.append(("cannot say", str(e)))
            places = []
        return replace(
            found,
            rewriting=tuple(steps),
            destinations=tuple(places),
            routing=self._take(),
        )


#: Given queue_directory, gives questions.
Asked = Callable[[str], tuple[Question, ...]]


def _destination(address: str, route: Route, tls: str) -> Destination:
    return Destination(
        address,
        route.address_class.name.lower().replace("_", "-"),
        route.transport,
        route.nexthop,
        tls,
    )


def explain_with(path: str, question: Question) -> Explanation:
    """
    @param path: of main.cf.
    @raise ConfigError: with all that is wrong.
    """
    (found,) = explain_all(path, (question,))
    return found


def explain_all(
    path: str, questions: tuple[Question, ...] | Asked
) -> list[Explanation]:
    """
    @param questions: or what gives them, once all that is asked is open.
    @return: the answers, in order.
    @raise ConfigError: with all that is wrong.
    """
    configuration = load(path, allow_not_yet=True, starts=False)

    async def work(reactor: Any) -> list[Explanation]:
        server = Server(configuration, reactor)
        found: list[Explanation] = []
        asked_for = questions
        if callable(asked_for):
            asked_for = asked_for(configuration.settings.queue_directory)
        for question in asked_for:
            asked = ensureDeferred(server.explain(question))
            asked.addTimeout(PATIENCE, reactor)
            found.append(await asked)
        return found

    answers: list[Explanation] = with_reactor(work)
    return answers
