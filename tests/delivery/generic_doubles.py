"""
Generic tables without a network, for tests here and in tests/conformance.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from tests.delivery.doubles import Content
from txmta.delivery.generic import Generic, GenericRules
from txmta.delivery.outgoing_headers import OutgoingHeaders
from txmta.interfaces import IAddressResolver, ITable
from txmta.model import AddressClass, Route
from txmta.rewrite.standard import Form, rewrite


@implementer(IAddressResolver)
class Origin:
    """
    Completes addresses with a domain; delivers for some domains.
    """

    def __init__(self, origin: str, local: Sequence[str] = ()) -> None:
        self._form = Form(origin)
        self._local = local

    def rewrite(self, address: str, local: bool) -> str:
        return rewrite(address, self._form)

    def resolve(self, address: str, sender: str = "") -> Route:
        domain = address.rpartition("@")[2]
        local = domain in self._local
        kind = AddressClass.LOCAL if local else AddressClass.DEFAULT
        return Route(kind, "smtp", domain, address)

    def validate(self, address: str, route: Route, as_sender: bool = False) -> bool:
        raise AssertionError("mail that leaves is known")


class GenericWorld:
    """
    @ivar warnings: what was said.
    """

    def __init__(
        self,
        tables: Sequence[ITable],
        origin: str = "localdomain",
        local: Sequence[str] = (),
        propagate: bool = True,
    ) -> None:
        self.warnings: list[str] = []
        self.clock = Clock()
        rules = GenericRules(delimiters="+", origin=origin, propagate=propagate)
        addresses = Origin(origin, local)
        warn = self.warnings.append
        self.generic = Generic(tables, addresses, rules, self.clock, warn)
        self.headers = OutgoingHeaders(self.generic, None, self.clock)

    def map(self, address: str) -> Deferred[str]:
        return Deferred.fromCoroutine(self.generic.map(address))

    def content(self, content: Content) -> Deferred[bytes]:
        """
        @return: all of what becomes of a message.
        """

        async def read() -> bytes:
            made = await self.headers.content("QID", content)
            octets = made.read(0, made.size)
            return await octets if isinstance(octets, Deferred) else octets

        return Deferred.fromCoroutine(read())
