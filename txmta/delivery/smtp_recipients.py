"""
The recipients of one request: who is left, and why.

Owns: from what a server said to an L{Outcome}; each recipient has exactly
    one.
Knows nothing of: connections, which host comes next.

What is said for good is reported at once. What is said for now leaves a
recipient for the next host; the last such word counts in the end.

Sources: Postfix C{src/smtp/smtp_trouble.c}, C{src/smtp/smtp_rcpt.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from txmta.model import Action, Outcome, Recipient
from txmta.smtp.client_trouble import Trouble
from txmta.smtp.replies import ServerReply

#: When there were addresses, and yet none was tried.
NOTHING_TRIED = Trouble("4.3.0", "server unavailable or unable to receive mail")


@dataclass(frozen=True, slots=True)
class Where:
    """
    Who said something, and how long it took; see L{Outcome}.

    @ivar host: for Remote-MTA, if it is its word that counts.
    @ivar dsn: it speaks DSN, and was told what the sender wants to hear.
    """

    relay: str = "none"
    host: str = ""
    conn_use: int = 0
    setup: float = 0.0
    transmission: float = 0.0
    dsn: bool = False


class RecipientsLeft:
    """
    @ivar left: those without outcome, in order.
    """

    def __init__(
        self,
        recipients: Iterable[Recipient],
        report: Callable[[Outcome], None],
        final: bool = False,
    ) -> None:
        """
        @param final: what a server without DSN takes is delivered, not only
            relayed.
        """
        self.left = list(recipients)
        self._final = final
        self._report = report
        self._causes: dict[int, tuple[Trouble, Where]] = {}
        self._skipped: dict[str, None] = {}

    def sent(
        self, recipients: Iterable[Recipient], reply: ServerReply, where: Where
    ) -> None:
        """
        A server has taken responsibility.
        """
        status, reason = reply.status, reply.text
        diagnostic = f"smtp; {reason}"
        final = self._final and not where.dsn
        action = Action.DELIVERED if final else Action.RELAYED
        for recipient in recipients:
            self.left.remove(recipient)
            self._report(
                Outcome(
                    recipient.n,
                    action,
                    status,
                    reason,
                    where.relay,
                    where.host,
                    diagnostic,
                    where.setup,
                    where.transmission,
                    where.conn_use,
                    dsn_passed=where.dsn,
                )
            )

    def trouble(
        self, recipients: Iterable[Recipient], trouble: Trouble, where: Where
    ) -> None:
        """
        Something is wrong: for good, or perhaps only with this host.
        """
        if trouble.soft:
            self._skipped[trouble.reason] = None
            for recipient in recipients:
                self._causes[recipient.n] = (trouble, where)
        else:
            for recipient in list(recipients):
                self._end(recipient, trouble, where)

    def not_found(self, trouble: Trouble) -> None:
        """
        There is no host to ask. It is for all, and may be for good, but
        another next hop can be tried. It is not for good while another host
        may still change its mind.
        """
        for recipient in self.left:
            known = self._causes.get(recipient.n)
            if trouble.soft or known is None or not known[0].soft:
                self._causes[recipient.n] = (trouble, Where())

    def skipped(self) -> list[str]:
        """
        @return: reasons why we go on to another host, each told once.
        """
        reasons = list(self._skipped)
        self._skipped.clear()
        return reasons

    def give_up(self) -> None:
        """
        There is nothing more to try.
        """
        for recipient in list(self.left):
            trouble, where = self._causes.get(recipient.n, (NOTHING_TRIED, Where()))
            self._end(recipient, trouble, where)

    def _end(self, recipient: Recipient, trouble: Trouble, where: Where) -> None:
        self.left.remove(recipient)
        hard = trouble.status[0] == "5"
        self._report(
            Outcome(
                recipient.n,
                Action.FAILED if hard else Action.DELAYED,
                trouble.status,
                trouble.reason,
                where.relay,
                where.host if trouble.reply else "",
                f"smtp; {trouble.reply}" if trouble.reply else "",
                where.setup,
                where.transmission,
                where.conn_use,
            )
        )
