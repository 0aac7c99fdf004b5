"""
An SMTP server of txmta that users log in to, by a portal of twisted.cred: each
sends mail from their own address only.

    python docs/examples/portal_server.py 2526
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.mail.smtp import (
    Address,
    IMessage,
    IMessageDelivery,
    SMTPBadSender,
)
from zope.interface import implementer

from txmta.events import Event
from txmta.interfaces import IClientList, IClientNames, IEventSink
from txmta.smtp.context import Context
from txmta.smtp.factory import Crowd, SMTPServerFactory
from txmta.smtp.rules import Rules
from txmta.smtp.sasl.backends import portal_logins


@implementer(IMessage)
class Printed:
    def lineReceived(self, line: bytes) -> None:
        print(line.decode("utf-8", "replace"))

    def eomReceived(self) -> None:
        """
        Only what returns from here, or fires, is answered with 250.
        """
        print("-- end --", flush=True)

    def connectionLost(self) -> None:
        print("-- given up --", flush=True)


@implementer(IMessageDelivery)
class Delivery:
    """
    Of one user.
    """

    def __init__(self, name: bytes) -> None:
        self._name = name

    def receivedHeader(self, helo: object, origin: object, recipients: object) -> str:
        return ""

    def validateFrom(self, helo: object, origin: Address) -> Address:
        if origin.local != self._name:
            raise SMTPBadSender(origin, 553, "that is not you")
        return origin

    def validateTo(self, user: object) -> Callable[[], Printed]:
        return Printed


@implementer(IRealm)
class Realm:
    def requestAvatar(self, name: bytes, mind: object, *interfaces: object) -> object:
        return IMessageDelivery, Delivery(name), lambda: print("good bye", name)


@implementer(IEventSink)
class Quiet:
    def emit(self, event: Event) -> None:
        pass


@implementer(IClientList)
class Nobody:
    def match_client(self, name: str, address: str) -> bool:
        return False


@implementer(IClientNames)
class Unnamed:
    def name(self, address: str) -> tuple[str, str]:
        return "unknown", "unknown"


def main(port: int) -> None:
    checker = InMemoryUsernamePasswordDatabaseDontUse(user=b"wonderland")
    portal = Portal(Realm(), [checker])
    rules = Rules("mail.example.com", "mail.example.com ESMTP", auth=True)
    logins = portal_logins(portal, reactor)
    context = Context(rules, reactor, Quiet(), Unnamed(), logins=logins)
    crowd = Crowd(exempt=Nobody(), spared=Nobody())
    factory = SMTPServerFactory(context, crowd, None, portal)
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
