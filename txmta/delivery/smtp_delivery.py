"""
One message to one next hop, by whatever hosts it takes.

Owns: which host is tried next, and when to give up.
Knows nothing of: SMTP, DNS, how long connections are kept.

Sources: Postfix C{smtp_connect_inet()} in C{src/smtp/smtp_connect.c}.

Errors: what the content of the message fails with is passed on; the
recipients that are left have no outcome then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.delivery.generic import Generic, NotMapped, as_told
from txmta.delivery.outgoing_headers import OutgoingHeaders
from txmta.delivery.smtp_connections import KeptConnections, Key
from txmta.delivery.smtp_content import needs_smtputf8, read, start
from txmta.delivery.smtp_hosts import Destination, parse_nexthop
from txmta.delivery.smtp_logins import Logins, NoAnswer
from txmta.delivery.smtp_lookup import HostLookup
from txmta.delivery.smtp_recipients import RecipientsLeft, Where
from txmta.delivery.smtp_session import Session
from txmta.delivery.smtp_tls import NoPolicy, TlsPolicies
from txmta.events import Note, Warn
from txmta.interfaces import IContent, IEventSink
from txmta.model import DeliveryRequest, Outcome
from txmta.smtp.client import ClientConnection
from txmta.smtp.client_commands import Transaction
from txmta.smtp.client_dial import Dialler, NoConnection
from txmta.smtp.client_events import Target
from txmta.smtp.client_login import Account
from txmta.smtp.client_trouble import Trouble
from txmta.smtp.client_upload import Body


@dataclass(frozen=True)
class DeliveryRules:
    """
    @ivar port: smtp_tcp_port.
    @ivar fallback: smtp_fallback_relay.
    @ivar relayhost: trouble with it is not the fault of the mail.
    @ivar address_limit: smtp_mx_address_limit, 0 for none.
    @ivar session_limit: smtp_mx_session_limit, 0 for none.
    @ivar line_length: smtp_line_length_limit, for the log.
    @ivar keep: whether connections for a host or domain are kept.
    @ivar final: lmtp_assume_final.
    @ivar program: for the log.
    @ivar split: from a next hop to the alternatives in it.
    @ivar parse: understands one of them; arguments: text and L{port}; raises
        C{ValueError}.
    """

    port: int = 25
    fallback: Sequence[str] = ()
    relayhost: str = ""
    address_limit: int = 5
    session_limit: int = 2
    line_length: int = 998
    keep: Callable[[str], bool] = lambda host: True
    final: bool = False
    program: str = "smtp"
    split: Callable[[str], list[str]] = lambda text: text.replace(",", " ").split()
    parse: Callable[[str, int], Destination] = parse_nexthop


@dataclass(frozen=True)
class Tools:
    """
    What all deliveries of one agent share.

    @ivar generic: smtp_generic_maps, if set.
    @ivar headers: what changes headers, if anything does.
    @ivar logins: who we are at servers, if anybody.
    @ivar tls: which TLS servers need, if any may have it.
    """

    rules: DeliveryRules
    lookup: HostLookup
    dialler: Dialler
    kept: KeptConnections
    clock: IReactorTime
    sink: IEventSink
    generic: Generic | None = None
    headers: OutgoingHeaders | None = None
    logins: Logins | None = None
    tls: TlsPolicies | None = None


@dataclass(slots=True)
class _Tries:
    """
    How much was tried for one next hop.
    """

    sessions: int = 0
    addresses: int = 0

    def enough(self, rules: DeliveryRules) -> bool:
        return (
            0 < rules.session_limit <= self.sessions
            or 0 < rules.address_limit <= self.addresses
        )


class SmtpDelivery:
    """
    One request on its way.
    """

    def __init__(
        self,
        request: DeliveryRequest,
        report: Callable[[Outcome], None],
        tools: Tools,
    ) -> None:
        self._request = request
        self._tools = tools
        self._recipients = RecipientsLeft(request.recipients, report, tools.rules.final)
        self._started = tools.clock.seconds()
        self._visited: set[str] = set()
        self._tries = _Tries()
        self._body: Body | None = None
        self._head = b""  # the start of the content, if it matters
        # Sender, and recipients by number, as servers are told them.
        self._mapped: tuple[str, dict[int, str]] | None = None

    async def run(self) -> None:
        """
        Deliver, or report why not.
        """
        content = self._request.open_content()
        if isinstance(content, Deferred):
            content = await content
        try:
            if self._tools.generic is not None or self._tools.headers is not None:
                content = await self._rewritten(content)
            self._body = await read(content)
            self._head = self._body.whole or b""
            if self._request.envelope.smtputf8 and self._body.whole is None:
                self._head = await start(content)
            await self._deliver()
        except NotMapped as e:
            self._recipients.not_found(Trouble("4.3.0", str(e)))
        finally:
            content.close()
        if self._body is not None and self._body.broken:
            limit = self._tools.rules.line_length
            words = f"breaking line > {limit} bytes with <CR><LF>SPACE"
            self._note(f"{self._request.envelope.queue_id}: {words}")
        self._recipients.give_up()

    async def _rewritten(self, content: IContent) -> IContent:
        request, tools = self._request, self._tools
        envelope = request.envelope
        if tools.generic is not None:
            self._mapped = await tools.generic.envelope(envelope, request.recipients)
        if tools.headers is None or envelope.is_probe:
            return content
        return await tools.headers.content(envelope.queue_id, content)

    async def _deliver(self) -> None:
        recipients, rules = self._recipients, self._tools.rules
        await self._try_kept()
        if not recipients.left:
            return
        primary = rules.split(self._request.nexthop)
        for position, nexthop in enumerate((*primary, *rules.fallback)):
            try:
                destination = rules.parse(nexthop, rules.port)
            except ValueError as e:
                self._warn(str(e))
                recipients.not_found(
                    Trouble("4.3.5", "Server configuration error"),
                )
                continue
            last = await self._try_destination(destination, position, len(primary))
            if last or not recipients.left:
                return
            self._tries = _Tries()

    async def _try_kept(self) -> None:
        """
        Use a connection that waits for this next hop: no lookup, no
        handshake. Dead ones do not count.
        """
        key = await self._key()
        while key:
            connection = self._tools.kept.take_for(key)
            if connection is None:
                return
            if await self._try_connection(connection, True):
                self._visited.add(connection.target.address)
                return

    async def _try_destination(
        self, destination: Destination, position: int, primaries: int
    ) -> bool:
        """
        @return: whether nothing else may be tried after this.
        """
        found = await self._tools.lookup.find(destination)
        if found.trouble is not None:
            self._not_found(found.trouble, position >= primaries)
            return found.myself
        rules = self._tools.rules
        for target in found.targets:
            if not self._recipients.left or self._tries.enough(rules):
                break
            if target.address not in self._visited:
                self._visited.add(target.address)
                self._tries.addresses += 1
                await self._try_target(target, destination, first=position == 0)
        return found.myself

    async def _key(self) -> Key | None:
        """
        What connections wait under: the next hop, and the sender if it decides
        who we are there, and the TLS that it needs; L{None}: not to be used.
        """
        logins, nexthop = self._tools.logins, self._request.nexthop
        who = logins.kind(self._request.envelope.sender) if logins else ""
        key = f"{nexthop} {who}" if who else nexthop
        if self._tools.tls is None:
            return key
        try:
            return (key, await self._tools.tls.base(nexthop))
        except NoPolicy:
            return None

    async def _account(
        self, target: Target, destination: Destination
    ) -> Account | None:
        logins, envelope = self._tools.logins, self._request.envelope
        if logins is None:
            return None
        return await logins.find(envelope.sender, target.host, destination.text)

    async def _try_target(
        self, target: Target, destination: Destination, first: bool
    ) -> None:
        for reason in self._recipients.skipped():
            self._note(f"{self._request.envelope.queue_id}: {reason}")
        tools = self._tools
        best = first and target.best
        try:
            account = await self._account(target, destination)
        except NoAnswer as e:
            self._warn(str(e))
            words = f"local data error while talking to {target.label}"
            self._not_connected(
                NoConnection(Trouble("4.3.0", words), target.relay), target
            )
            return
        try:
            start = await tools.tls.start(destination, target) if tools.tls else None
        except NoPolicy as e:
            self._not_connected(NoConnection(e.trouble, target.relay), target)
            return
        who = account.who if account else None
        while (kept := tools.kept.take_to(target, who, start)) is not None:
            if await self._try_connection(kept, best):
                return
        nexthop = self._request.nexthop
        dialled = await tools.dialler.dial(target, nexthop, account, start)
        if isinstance(dialled, NoConnection) and dialled.tls and tools.tls:
            arrival = self._request.envelope.arrival
            if account is None and tools.tls.plain_after(start, arrival):
                dialled = await tools.dialler.dial(target, nexthop)
        if isinstance(dialled, ClientConnection):
            await self._try_connection(dialled, best)
        else:
            self._not_connected(dialled, target)

    async def _try_connection(self, connection: ClientConnection, best: bool) -> bool:
        """
        @param best: it may be kept for the next hop.
        @return: whether it was tried at all: a kept one may be dead.
        """
        tools, body = self._tools, self._body
        assert body is not None, "the content is opened first"
        session = Session(connection, self._recipients, tools.clock, self._started)
        session.begin(self._transaction(body), body)
        reusable = await session.over
        if connection.failure is not None:
            connection.failure.raiseException()
        if session.unused:
            return False
        if reusable:
            key = await self._key() if best else None
            if tools.rules.keep(self._request.nexthop) and connection.shareable:
                tools.kept.keep(connection, key or "")
            else:
                connection.quit()
        self._tries.sessions += 1
        return True

    def _transaction(self, body: Body) -> Transaction:
        envelope = self._request.envelope
        recipients = tuple(self._recipients.left)
        if self._mapped is not None:
            sender, addresses = self._mapped
            envelope = replace(envelope, sender=sender)
            recipients = tuple(as_told(each, addresses) for each in recipients)
        kind, whole = envelope.body, body.whole
        if whole is not None and not whole.isascii():
            kind = "8BITMIME"
        utf8 = envelope.smtputf8 and needs_smtputf8(
            (envelope.sender, *(r.address for r in recipients)), self._head
        )
        return Transaction(
            envelope, recipients, self._request.size, kind, utf8, envelope.is_probe
        )

    def _not_connected(self, dialled: NoConnection, target: Target) -> None:
        trouble = dialled.trouble
        if dialled.relay == "none":
            self._note(trouble.reason)
        setup = self._tools.clock.seconds() - self._started
        where = Where(dialled.relay, target.host, setup=setup)
        self._recipients.trouble(self._recipients.left, trouble, where)
        if dialled.relay == "none":
            self._recipients.skipped()

    def _not_found(self, trouble: Trouble, fallback: bool) -> None:
        """
        What may be a mistake in the configuration returns no mail.
        """
        relayhost = self._request.nexthop == self._tools.rules.relayhost
        if not trouble.soft and (fallback or relayhost):
            program = self._tools.rules.program
            name = f"{program}_fallback_relay" if fallback else "relayhost"
            self._warn(f"{name} configuration problem")
            trouble = replace(trouble, status="4.3.5")
        self._recipients.not_found(trouble)

    def _note(self, text: str) -> None:
        self._tools.sink.emit(Note(self._tools.rules.program, text))

    def _warn(self, text: str) -> None:
        self._tools.sink.emit(Warn(self._tools.rules.program, text))
