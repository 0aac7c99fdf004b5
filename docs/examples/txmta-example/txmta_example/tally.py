"""
A delivery agent: one line in a file for each message.

In master.cf::

    tally  unix  -  n  n  -  -  tally

In main.cf, for mail to the virtual mailbox domains::

    virtual_transport = tally:/var/lib/tally/messages

Errors: a file that cannot be written defers the mail.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.delivery.context import AgentContext
from txmta.interfaces import IDeliveryAgent
from txmta.model import Action, DeliveryRequest, Outcome


@implementer(IDeliveryAgent)
class TallyAgent:
    """
    One for each service of master.cf that names the program C{tally}.
    """

    name = "tally"

    def __init__(self, context: AgentContext) -> None:
        self._in_thread = context.in_thread

    def deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> Deferred[None]:
        return Deferred.fromCoroutine(self._deliver(request, report))

    async def _deliver(
        self, request: DeliveryRequest, report: Callable[[Outcome], None]
    ) -> None:
        path = request.nexthop
        users = ", ".join(r.address for r in request.recipients)
        line = f"{request.envelope.queue_id} {request.size} {users}\n"
        try:
            # The disk may be slow, and the reactor must not wait for it.
            await self._in_thread(append, path, line)
        except OSError as e:
            action, status = Action.DELAYED, "4.3.0"
            reason = f"cannot write {path}: {e.strerror}"
        else:
            action, status, reason = Action.DELIVERED, "2.0.0", "counted"
        for recipient in request.recipients:
            report(Outcome(recipient.n, action, status, reason, relay=self.name))


def append(path: str, line: str) -> None:
    """
    Add a line, and return when it is on disk: what is reported as delivered
    is gone from the queue.
    """
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line.encode("utf-8", "surrogateescape"))
        os.fsync(fd)
    finally:
        os.close(fd)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
