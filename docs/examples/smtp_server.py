"""
An SMTP server of txmta without its queue: a delivery written for twisted.mail
gets the mail, and prints it.

    python docs/examples/smtp_server.py 2526
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from twisted.internet import reactor
from twisted.mail.smtp import (
    IMessage,
    IMessageDelivery,
    IMessageDeliveryFactory,
    SMTPBadRcpt,
    User,
)
from zope.interface import implementer

from txmta.events import Event
from txmta.interfaces import IClientList, IClientNames, IEventSink
from txmta.smtp.context import Context
from txmta.smtp.factory import Crowd, SMTPServerFactory
from txmta.smtp.rules import Rules


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
    def receivedHeader(self, helo: object, origin: object, recipients: object) -> str:
        return ""

    def validateFrom(self, helo: object, origin: object) -> object:
        return origin

    def validateTo(self, user: User) -> Callable[[], Printed]:
        if user.dest.domain != b"example.com":
            raise SMTPBadRcpt(user)
        return Printed


@implementer(IMessageDeliveryFactory)
class Deliveries:
    def getMessageDelivery(self) -> Delivery:
        return Delivery()


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
    rules = Rules("mail.example.com", "mail.example.com ESMTP")
    context = Context(rules, reactor, Quiet(), Unnamed())
    crowd = Crowd(exempt=Nobody(), spared=Nobody())
    factory = SMTPServerFactory(context, crowd, Deliveries())
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
