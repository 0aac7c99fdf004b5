"""
What a local delivery comes to: one outcome for one recipient.

Owns: which new messages it makes, and with which DSN parameters; what is tried
    again, as a whole or apart; what is reported.
Knows nothing of: how anything was delivered.

A branch that needs another attempt becomes a message of its own, so that nobody
gets a second copy for it, if it can be and if anything else was done; else the
recipient is tried again as a whole, as Postfix does always. A branch that
failed: likewise, but the recipient itself then fails, whatever else was done.

Sources: Postfix C{local/forward.c}, C{local/bounce_workaround.c},
C{global/deliver_pass.c}; RFC 3461 section 5.2.7.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from txmta.delivery.copy import delivered_head
from txmta.delivery.destinations import Expansion, Onward, Problem, Ties, ToTransport
from txmta.model import (
    Action,
    AddressClass,
    DeliveryRequest,
    Forward,
    Notify,
    Outcome,
    Recipient,
    Route,
)

#: Deliveries of one recipient that are named in its outcome.
MAX_WORDS = 5

_ACTIONS = {"2": Action.DELIVERED, "4": Action.DELAYED, "5": Action.FAILED}
_RELAY = "local"


@dataclass(frozen=True, slots=True)
class Done:
    """
    What deliveries came to.

    @ivar words: what was done, in the order in which it was.
    @ivar problems: what was not.
    """

    words: Sequence[str] = ()
    problems: Sequence[Problem] = ()


def not_delivered(n: int, status: str, reason: str, diagnostic: str = "") -> Outcome:
    """
    @return: an outcome whose action follows from the status.
    """
    return Outcome(
        n,
        _ACTIONS[status[0]],
        status,
        one_line(reason),
        _RELAY,
        diagnostic=one_line(diagnostic),
    )


def _of(n: int, problem: Problem) -> Outcome:
    return not_delivered(n, problem.status, problem.reason, problem.diagnostic)


def one_line(text: str) -> str:
    """
    Names of files and commands may have any character.
    """
    return "".join("?" if c < " " or c == "\x7f" else c for c in text)


class Summary:
    """
    Adds up what one recipient came to.
    """

    def __init__(
        self,
        request: DeliveryRequest,
        recipient: Recipient,
        expansion: Expansion,
        header: bool,
    ) -> None:
        """
        @param recipient: one of the request's.
        @param header: put a Delivered-To header before what is forwarded.
        """
        self._recipient = recipient
        self._sender = request.envelope.sender
        self._nexthop = request.nexthop
        self._expansion = expansion
        self._header = header

    def outcome(self, done: Done) -> Outcome:
        """
        @return: what the queue manager is told.
        """
        expansion, n = self._expansion, self._recipient.n
        own = [p for p in done.problems if not self._is_apart(p)]
        own.sort(key=lambda problem: problem.status)
        others = [p for p in done.problems if self._is_apart(p)]
        if own and own[0].status[0] == "4":
            return _of(n, own[0])
        passed = self._passed(done)
        onward = self._onward(passed)
        others.sort(key=lambda problem: problem.status)
        if others and (
            onward or passed or own or (done.words and others[0].status[0] == "4")
        ):
            onward += self._apart(others)
        elif others:
            return _of(n, others[0])
        if passed:
            return self._reroute(passed, onward)
        if own:
            # Bounced, and forwarded to whoever else there is.
            sender = own[0].sender
            return replace(
                _of(n, own[0]),
                forward=onward,
                bounce_to="" if sender == self._sender else sender,
            )
        return self._delivered(done, onward, expansion)

    def repeats(self, problem: Problem) -> bool:
        """
        @return: whether the recipient as a whole is tried again for it.
        """
        return problem.status[0] == "4" and not self._is_apart(problem)

    def _is_apart(self, branch: Problem | ToTransport) -> bool:
        """
        @return: whether the branch can be a message of its own. Else that
            would come back to us and loop, or what is beside it would be
            done again.
        """
        ours = self._recipient.address.lower()
        return branch.alone and branch.address.lower() != ours

    def _delivered(
        self, done: Done, onward: tuple[Forward, ...], expansion: Expansion
    ) -> Outcome:
        words = list(dict.fromkeys(done.words))[:MAX_WORDS]
        if onward:
            words.append("forwarded")
        elif not words:
            words.append("discarded")
        # A list that took it has it (RFC 3461 section 5.2.7.3).
        expanded = expansion.ties is Ties.ALIAS or onward
        action = Action.EXPANDED if expanded else Action.DELIVERED
        if expansion.ties is Ties.LIST:
            action = Action.DELIVERED
        return Outcome(
            self._recipient.n,
            action,
            "2.0.0",
            one_line(", ".join(words)),
            _RELAY,
            forward=onward,
            # Where nothing was an alias, the new recipient stands for the old
            # one and reports its success.
            dsn_passed=bool(onward) and expansion.ties is Ties.FULL,
        )

    def _passed(self, done: Done) -> ToTransport | None:
        """
        @return: what another transport is to deliver in place of us.
        """
        transports = self._expansion.transports
        for transport in transports:
            if not self._is_apart(transport):
                return transport
        busy = done.words or done.problems or self._expansion.forwards
        if len(transports) == 1 and not busy:
            return transports[0]
        return None

    def _reroute(self, passed: ToTransport, onward: tuple[Forward, ...]) -> Outcome:
        transport, _, nexthop = passed.transport.partition(":")
        route = Route(
            AddressClass.LOCAL, transport, nexthop or self._nexthop, passed.address
        )
        return Outcome(
            self._recipient.n,
            Action.DELAYED,
            "4.3.0",
            f"passed to {one_line(transport)}",
            _RELAY,
            forward=onward,
            reroute=route,
        )

    def _onward(self, passed: ToTransport | None) -> tuple[Forward, ...]:
        expansion = self._expansion
        groups = {key: list(items) for key, items in expansion.forwards.items()}
        for transport in expansion.transports:
            if transport is not passed:
                key = Onward(transport.delivered, transport.sender, expansion.ties)
                groups.setdefault(key, []).append(transport.address)
        # What other transports get would come back to us and loop, were it not
        # for Delivered-To.
        always = len(expansion.transports) > (passed is not None)
        return tuple(
            self._forward(key, addresses, self._header or always)
            for key, addresses in groups.items()
        )

    def _apart(self, problems: Sequence[Problem]) -> tuple[Forward, ...]:
        """
        Let branches that fail be messages of their own, so that they are
        deferred or bounced alone, and nobody else's copy is lost or repeated.

        Always with Delivered-To: it ends the loop that a branch may be.
        """
        groups: dict[str, dict[str, None]] = {}
        for problem in problems:
            groups.setdefault(problem.sender, {})[problem.address] = None
        delivered = self._recipient.address
        return tuple(
            self._forward(
                Onward(
                    delivered,
                    sender,
                    # Another sender is the owner of a list.
                    self._expansion.ties if sender == self._sender else Ties.LIST,
                ),
                tuple(addresses),
                True,
            )
            for sender, addresses in groups.items()
        )

    def _forward(self, key: Onward, addresses: Sequence[str], header: bool) -> Forward:
        head = delivered_head(key.delivered) if header else b""
        if key.ties is Ties.LIST:
            return Forward(key.sender, tuple(addresses), head)
        recipient = self._recipient
        notify = Notify(recipient.notify)
        if key.ties is Ties.ALIAS and notify & Notify.SUCCESS:
            notify = (notify & ~Notify.SUCCESS) or Notify.NEVER
        return Forward(
            key.sender,
            tuple(addresses),
            head,
            int(notify),
            recipient.orcpt,
            recipient.original or recipient.address,
            keep_envid=True,
        )
