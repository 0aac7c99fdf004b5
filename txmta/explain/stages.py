"""
One session, asked stage by stage: connection, greeting, MAIL, RCPT, content.

Owns: the order of stages, as the SMTP server has it; where it ends.
Knows nothing of: what restrictions say, where a session comes from.

Errors: none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from txmta.explain.answer import Stage
from txmta.explain.doubles import ACCEPTED
from txmta.explain.question import Question
from txmta.explain.trace import Row
from txmta.model import Reply
from txmta.smtp.delivery import Deliveries
from txmta.smtp.requests import MailParameters, Rcpt, RcptParameters, Sender
from txmta.smtp.session import Session


def shown(reply: Reply) -> str:
    """
    @return: a reply in one line.
    """
    status = f"{reply.status} " if reply.status else ""
    return f"{reply.code} {status}{reply.text}".replace("\n", " ")


async def now(answer: Any) -> Any:
    """
    @return: an answer, however it comes.
    """
    if isinstance(answer, Deferred):
        answer = await answer
    return answer


class Asking:
    """
    One session, stage by stage.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        session: Session,
        question: Question,
        take: Callable[[], tuple[Row, ...]],
    ) -> None:
        self._deliveries = deliveries
        self._session = session
        self._question = question
        self._take = take
        self.stages: list[Stage] = []
        self.reply = ACCEPTED
        self.refused_at = ""

    async def run(self) -> None:
        question, session = self._question, self._session
        deliveries = self._deliveries
        greeted = deliveries.greeted
        if await self._stage("CONNECT", lambda: greeted(session, "CONNECT")):
            return
        session.helo, session.protocol = question.helo, "ESMTP"
        if await self._stage("EHLO", lambda: greeted(session, "EHLO")):
            return
        delivery = deliveries.getMessageDelivery()
        parameters = MailParameters(size=question.size)
        sender = Sender(question.sender, parameters, session)
        if await self._stage("MAIL", lambda: delivery.validateFrom(b"", sender)):
            return
        rcpt = Rcpt(question.recipient, RcptParameters(), sender)
        makers: list[Any] = []

        async def validate() -> Any:
            answer = await now(delivery.validateTo(rcpt))
            makers.append(answer)
            return answer

        if await self._stage("RCPT", validate):
            return
        messages: list[Any] = []

        async def opened() -> Any:
            messages.append(await now(makers[0]()))
            return messages[0]

        if await self._stage("DATA", opened):
            return
        messages[0].chunkReceived(b"")
        await self._stage("END-OF-MESSAGE", messages[0].eomReceived)

    async def _stage(self, name: str, ask: Callable[[], Any]) -> bool:
        """
        @return: it is over.
        """
        answer = ask()
        if not isinstance(answer, Reply | Deferred) and hasattr(answer, "send"):
            answer = await answer
        answer = await now(answer)
        refused = isinstance(answer, Reply) and answer.code >= 400
        if refused:
            self.reply, self.refused_at = answer, name
        rows = self._take()
        if rows or refused:
            self.stages.append(Stage(name, rows, shown(answer) if refused else ""))
        return refused
