"""
generic(5): other addresses for mail that leaves by SMTP or LMTP.

Owns: what an address becomes; which headers hold addresses.
Knows nothing of: connections, recipients that are left.

An address is looked up once, not again and again as in canonical(5), and
becomes one other. What is not rewritten stays as it is, octet by octet.

Sources: Postfix's generic(5), C{src/smtp/smtp_map11.c}, C{smtp_header_rewrite()}
in C{src/smtp/smtp_proto.c}, C{global/mail_addr_map.c}.

Errors: L{NotMapped}: a table cannot be asked, or the message cannot be read as
it would have to be. It must not leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txmta.address import quote, split
from txmta.config.settings import Settings
from txmta.delivery.context import AgentContext
from txmta.errors import MailError, TableUnavailable
from txmta.header_addresses import HeaderAddress
from txmta.header_addresses import find as find_addresses
from txmta.header_addresses import replace as replace_addresses
from txmta.interfaces import IAddressResolver, ITable
from txmta.model import AddressClass, Envelope, Recipient
from txmta.search import Bare, Found, address_keys, find, split_extension

#: Addresses after which other work gets a turn.
TURN = 100

#: The names of headers that hold addresses, in lower case.
ADDRESS_HEADERS = frozenset(
    (
        *(b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"),
        *(b"resent-from", b"resent-sender", b"resent-reply-to"),
        *(b"resent-to", b"resent-cc", b"resent-bcc"),
        *(b"errors-to", b"return-receipt-to", b"return-path"),
        *(b"disposition-notification-to", b"apparently-to", b"mail-followup-to"),
    )
)


class NotMapped(MailError):
    """
    An address cannot be mapped now.
    """


@dataclass(frozen=True)
class GenericRules:
    """
    @ivar name: of the parameter.
    @ivar delimiters: recipient_delimiter.
    @ivar special: owner_request_special.
    @ivar origin: myorigin.
    @ivar propagate: an extension that no table has goes to the result.
    """

    name: str = "smtp_generic_maps"
    delimiters: str = ""
    special: bool = True
    origin: str = ""
    propagate: bool = False


class Generic:
    """
    The tables of one agent.
    """

    def __init__(
        self,
        tables: Sequence[ITable],
        addresses: IAddressResolver,
        rules: GenericRules,
        clock: IReactorTime,
        warn: Callable[[str], None],
    ) -> None:
        """
        @param warn: gets what an administrator should know.
        """
        self._tables = tables
        self._addresses = addresses
        self._rules = rules
        self._clock = clock
        self._warn = warn

    async def map(self, address: str) -> str:
        """
        @param address: internal form.
        @return: internal form; the same, if no table has it.
        """
        name = self._rules.name
        try:
            found = await self._find(address)
        except TableUnavailable as e:
            self._warn(f"{name} map lookup problem for {address}: {e}")
            raise NotMapped(f"{name} map lookup problem") from e
        if found is None:
            return address
        results = self._results(address, found)
        if not results:
            self._warn(
                f'{name} lookup of {address} returns non-address result "{found.value}"'
            )
            raise NotMapped(f"{name} map lookup problem")
        if len(results) > 1:
            self._warn(f"multi-valued {name} result for {address}")
        return results[0]

    async def _find(self, address: str) -> Found | None:
        rules = self._rules
        keys = address_keys(
            address,
            delimiters=rules.delimiters,
            local=await self._is_local(split(address)[1]),
        )
        found = find(self._tables, keys)
        return await found if isinstance(found, Deferred) else found

    async def _is_local(self, domain: str) -> bool:
        if not domain or domain.lower() == self._rules.origin.lower():
            return True
        route = self._addresses.resolve(f"postmaster@{domain}")
        if isinstance(route, Deferred):
            route = await route
        return route.address_class is AddressClass.LOCAL

    def _results(self, address: str, found: Found) -> list[str]:
        rules, value = self._rules, found.value
        name, _domain = split(address)
        extension = ""
        if isinstance(found.key, Bare):
            user, _, _ = split_extension(
                name, rules.delimiters, owner_request_special=rules.special
            )
            extension = name[len(user) :]
        if value.startswith("@"):
            # The same user, elsewhere.
            value = quote(name.removesuffix(extension) + value)
        if value in ("", "<>", '""'):
            return [""]
        octets = value.encode("utf-8", "surrogateescape")
        rewrite = self._addresses.rewrite
        made = [
            rewrite(each.internal(octets), True) for each in find_addresses(octets, 0)
        ]
        if not rules.propagate or not extension:
            return made
        return [_extended(each, extension) for each in made]

    async def envelope(
        self, envelope: Envelope, recipients: Sequence[Recipient]
    ) -> tuple[str, dict[int, str]]:
        """
        @return: the sender, and the address of each recipient by number, as the
            server is told them.
        """
        sender = envelope.sender and await self.map(envelope.sender)
        return sender, {r.n: await self.map(r.address) for r in recipients}

    async def header(self, value: bytes, known: dict[str, str]) -> bytes:
        """
        @param value: what follows the colon of one of L{ADDRESS_HEADERS}.
        @param known: what addresses have become in the same message.
        @return: the value; the same object, if nothing changes.
        """
        changes: list[tuple[HeaderAddress, str]] = []
        for count, each in enumerate(find_addresses(value, 0), 1):
            if count % TURN == 0:
                await deferLater(self._clock, 0)
            change = await self._change(each, value, known)
            if change is not None:
                changes.append((each, change))
        return replace_addresses(value, changes) if changes else value

    async def _change(
        self, found: HeaderAddress, value: bytes, known: dict[str, str]
    ) -> str | None:
        address = found.internal(value)
        if not found.plain:
            if found.kinds[0] != "@":
                return None
            # With a route before it, which hides nothing.
            address = self._addresses.rewrite(address, True)
        new = known.get(address)
        if new is None:
            new = known[address] = await self.map(address)
        return None if new == address else new


def make_generic(
    context: AgentContext, settings: Settings, name: str, warn: Callable[[str], None]
) -> Generic | None:
    """
    @param settings: with C{smtp_} parameters, of lmtp too.
    @param name: of the parameter.
    @return: L{None} if nothing is rewritten.
    """
    items = settings.smtp_generic_maps
    if not items:
        return None
    assert context.addresses is not None, "mail that leaves has had routes"
    rules = GenericRules(
        name,
        settings.recipient_delimiter,
        settings.owner_request_special,
        settings.myorigin,
        "generic" in settings.propagate_unmatched_extensions,
    )
    tables = [context.table(item, name) for item in items]
    return Generic(tables, context.addresses, rules, context.clock, warn)


def _extended(address: str, extension: str) -> str:
    name, domain = split(address)
    return f"{name}{extension}@{domain}" if domain else name + extension


def as_told(recipient: Recipient, addresses: dict[int, str]) -> Recipient:
    """
    @param addresses: what L{Generic.envelope} gave.
    @return: the recipient, as the server is told it.
    """
    return replace(recipient, address=addresses[recipient.n])
