"""
The answer to a question: what the server would say, and where mail would go.

Owns: these values, and their form for programs.
Knows nothing of: how they came about, how people see them.

Errors: none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from txmta.explain.question import Question
from txmta.explain.trace import Row


@dataclass(frozen=True)
class Stage:
    """
    @ivar name: C{"CONNECT"}, C{"HELO"}, C{"MAIL"}, C{"RCPT"}, C{"DATA"},
        C{"END-OF-MESSAGE"}.
    @ivar reply: what the client hears, if that is decided here; or C{""}.
    """

    name: str
    rows: tuple[Row, ...]
    reply: str = ""


@dataclass(frozen=True)
class Destination:
    """
    Where mail to one address goes.

    @ivar transport: C{smtp}; C{error} says in C{nexthop} why not.
    @ivar tls: the level that is demanded of the next hop; C{""} where there is
        none.
    """

    address: str
    address_class: str
    transport: str
    nexthop: str
    tls: str = ""


@dataclass(frozen=True)
class Explanation:
    """
    @ivar code: of the reply that decides: 250, or of the refusal.
    @ivar reply: that reply.
    @ivar refused_at: the stage, or C{""}.
    @ivar rewriting: steps, as pairs of what happens and the address.
    @ivar log: what the server would log.
    """

    question: Question
    client: str
    service: str
    code: int
    reply: str
    refused_at: str
    stages: tuple[Stage, ...]
    rewriting: tuple[tuple[str, str], ...] = ()
    destinations: tuple[Destination, ...] = ()
    routing: tuple[Row, ...] = ()
    log: tuple[str, ...] = field(default=())

    def plain(self) -> dict[str, object]:
        """
        @return: for JSON.
        """
        return asdict(self)
