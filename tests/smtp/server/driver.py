"""
Drive an engine without adapter: answer what it asks, write down what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from txmta.model import Reply
from txmta.smtp.engine import Engine
from txmta.smtp.requests import Chunk, Open, Request, Sleep, StartTLS
from txmta.smtp.rules import Limits, Rules

HOST = "mx.example.org"
YES = Reply(250, "2.0.0", "Ok")

#: No pipelining check, so that only the order of octets counts.
LOOSE = Rules(
    HOST,
    f"{HOST} ESMTP",
    limits=Limits(sleep=0, hard_errors=1000, size=100000),
    forbid_unauth_pipelining=False,
)
STRICT = Rules(HOST, f"{HOST} ESMTP", limits=Limits(sleep=0, hard_errors=1000))

Answers = Callable[[Request], Reply | None]


def yes(request: Request) -> Reply | None:
    return YES


class Driven:
    """
    @ivar story: replies and requests, in order; content in one piece.
    """

    def __init__(
        self, rules: Rules = STRICT, answers: Answers = yes, greet: bool = True
    ) -> None:
        self.engine = Engine(rules)
        self.answers = answers
        self.story: list[str] = []
        self.content = b""
        self.asked: list[Request] = []
        if greet:
            self.engine.greet("client[192.0.2.1]", False)
            self.run()

    def feed(self, *pieces: bytes) -> str:
        """
        @return: what is said to the pieces, which arrive before we do anything.
        """
        for piece in pieces:
            self.engine.receive(piece)
        return self.run()

    def run(self) -> str:
        before = len(self.story)
        engine = self.engine
        while True:
            request = engine.next()
            self.heard()
            if request is None:
                break
            self.tell(request)
        return "".join(s for s in self.story[before:] if s[0].isdigit())

    def heard(self) -> None:
        out = self.engine.output().decode("utf-8", "surrogateescape")
        self.story += out.splitlines(keepends=True)

    def tell(self, request: Request) -> None:
        if isinstance(request, Chunk):
            self.content += request.block
            return
        if self.content:
            self.story.append(f"content {self.content!r}")
            self.content = b""
        if isinstance(request, Sleep):
            self.story.append(f"sleep {request.seconds}")
            self.engine.wake()
            return
        self.story.append(
            type(request).__name__
            if isinstance(request, Open | StartTLS)
            else repr(request).split(" object at")[0]
        )
        if request.asks:
            self.asked.append(request)
            reply = self.answers(request)
            if reply is not None:
                self.engine.answer(reply)

    def answer(self, reply: Reply = YES) -> str:
        self.engine.answer(reply)
        return self.run()


def story(
    rules: Rules, reads: Iterable[Iterable[bytes]], answers: Answers = yes
) -> list[str]:
    """
    @param reads: pieces that arrive together, before anything is answered.
    """
    driven = Driven(rules, answers)
    for pieces in reads:
        driven.feed(*pieces)
    driven.engine.lost()
    driven.run()
    return driven.story
