"""
L{txmta.delivery.expansion}

The expected outcomes of loops, owner- aliases and duplicates were observed
on Debian's Postfix 3.7.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping

from twisted.trial.unittest import SynchronousTestCase

from txmta.delivery.copy import delivered_key
from txmta.delivery.destinations import Expansion, Onward, Ties
from txmta.delivery.expansion import MAX_ADDRESSES, expand
from txmta.delivery.expansion_state import MAX_LEVEL
from txmta.delivery.questions import (
    Account,
    AliasOwner,
    Answer,
    CheckHome,
    FindUser,
    Listed,
    LookUp,
    Question,
    ReadForward,
    ReadInclude,
    Resolve,
    Resolved,
    Rules,
    Start,
    Trouble,
)

USERS = {name: Account(name, 1000, 1000, f"/home/{name}") for name in ("bob", "joe")}


class World:
    """
    Answers questions, and counts them.

    @ivar files: what is in a file; or trouble with it.
    @ivar owners: of tables, by alias; by default the superuser.
    @ivar maps: by parameter.
    @ivar questions: all that were about files.
    """

    def __init__(self, aliases: Mapping[str, str] | Callable[[str], str | None]):
        self._aliases = aliases if callable(aliases) else aliases.get
        self.asked = 0
        self.files: dict[str, str | Trouble] = {}
        self.owners: dict[str, Account | Trouble] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.homeless: set[str] = set()
        self.questions: list[Question] = []

    def answer(self, question: Question) -> Answer:
        self.asked += 1
        if isinstance(question, LookUp):
            if question.parameter == "alias_maps":
                return self._aliases(question.name)
            return self.maps[question.parameter].get(question.name)
        if isinstance(question, Resolve):
            address = question.address
            address = address if "@" in address else f"{address}@here.test"
            return Resolved(address, address.lower().endswith("@here.test"))
        if isinstance(question, FindUser):
            return USERS.get(question.name)
        self.questions.append(question)
        if isinstance(question, AliasOwner):
            return self.owners.get(question.name)
        if isinstance(question, CheckHome):
            lost = question.account.name in self.homeless
            return Trouble("4.3.0", "cannot access home") if lost else None
        return self._read(question)

    def _read(self, question: ReadForward | ReadInclude) -> Listed | Trouble | None:
        is_forward = isinstance(question, ReadForward)
        paths = (
            question.paths if isinstance(question, ReadForward) else (question.path,)
        )
        for path in paths:
            text = self.files.get(path)
            if isinstance(text, Trouble):
                return text
            if text is not None:
                return Listed(path, text)
        return None if is_forward else Trouble("5.3.5", "no such file")

    def expand(self, start: Start | str, rules: Rules | None = None) -> Expansion:
        if isinstance(start, str):
            start = Start(f"{start}@here.test", "sender@else.test", "orig@here.test")
        steps = expand(start, rules or Rules())
        try:
            question = next(steps)
            while True:
                question = steps.send(self.answer(question))
        except StopIteration as stop:
            assert isinstance(stop.value, Expansion)
            return stop.value


def boxes(expansion: Expansion) -> list[str]:
    return [box.account.name for box in expansion.mailboxes]


def problems(expansion: Expansion) -> list[tuple[str, str]]:
    return [(problem.status, problem.reason) for problem in expansion.problems]


class PlainTests(SynchronousTestCase):
    def test_user(self) -> None:
        """
        A user without alias: mailbox, all headers about the recipient itself.
        """
        (box,) = World({}).expand("bob").mailboxes
        self.assertEqual(box.account, USERS["bob"])
        self.assertEqual(
            (box.address, box.sender, box.delivered, box.original),
            ("bob@here.test", "sender@else.test", "bob@here.test", "orig@here.test"),
        )

    def test_unknown(self) -> None:
        expansion = World({}).expand("Nobody")
        self.assertEqual(problems(expansion), [("5.1.1", 'unknown user: "nobody"')])

    def test_case(self) -> None:
        """
        Names are folded before anything is looked up.
        """
        self.assertEqual(boxes(World({}).expand("BOB")), ["bob"])
        self.assertEqual(boxes(World({"x": "BOB@HERE.test"}).expand("X")), ["bob"])

    def test_extension(self) -> None:
        """
        The whole local part first, then without extension; an alias found
        without it does not pass it on, unless told to.
        """
        rules = Rules(recipient_delimiter="+")
        world = World({"bob+a": "joe", "list": "bob"})
        self.assertEqual(boxes(world.expand("bob+a", rules)), ["joe"])
        self.assertEqual(boxes(world.expand("bob+b", rules)), ["bob"])
        (box,) = world.expand("list+x", rules).mailboxes
        self.assertEqual(box.address, "bob@here.test")
        rules = Rules(recipient_delimiter="+", propagate=True)
        (box,) = world.expand("list+x", rules).mailboxes
        self.assertEqual(box.address, "bob+x@here.test")

    def test_slash_in_extension(self) -> None:
        """
        It could become part of a path: dropped, with a warning.
        """
        rules = Rules(recipient_delimiter="+")
        expansion = World({}).expand("bob+../x", rules)
        self.assertEqual(boxes(expansion), ["bob"])
        self.assertEqual(len(expansion.warnings), 1)

    def test_null_user(self) -> None:
        expansion = World({}).expand(Start("@here.test", ""))
        self.assertEqual(
            problems(expansion), [("5.1.3", 'null username in "@here.test"')]
        )

    def test_required_names(self) -> None:
        """
        Postmaster mail that nobody reads is discarded with a warning: a bounce
        of a bounce would go there again.
        """
        expansion = World({}).expand("Postmaster")
        self.assertTrue(expansion.discarded)
        self.assertEqual(expansion.warnings, ["required alias not found: postmaster"])


class AliasTests(SynchronousTestCase):
    def test_nested(self) -> None:
        """
        Down to mailboxes and addresses elsewhere; Delivered-To is where it began.
        """
        world = World({"all": "team, far@else.test", "team": "bob, joe"})
        expansion = world.expand("all")
        self.assertEqual(boxes(expansion), ["bob", "joe"])
        self.assertEqual({b.delivered for b in expansion.mailboxes}, {"all@here.test"})
        self.assertEqual(
            expansion.forwards,
            {Onward("all@here.test", "sender@else.test"): ["far@else.test"]},
        )

    def test_thawed_delivered_to(self) -> None:
        """
        frozen_delivered_to = no: where it ended.
        """
        world = World({"all": "team", "team": "bob, far@else.test"})
        expansion = world.expand("all", Rules(frozen_delivered_to=False))
        self.assertEqual([b.delivered for b in expansion.mailboxes], ["bob@here.test"])
        self.assertEqual(
            list(expansion.forwards), [Onward("team@here.test", "sender@else.test")]
        )

    def test_duplicates(self) -> None:
        """
        Each mailbox and each address once, whatever its case.
        """
        world = World(
            {"all": "a, b, Far@else.test", "a": "bob, far@else.test", "b": "Bob"}
        )
        expansion = world.expand("all")
        self.assertEqual(boxes(expansion), ["bob"])
        ((addresses),) = expansion.forwards.values()
        self.assertEqual(len(addresses), 1)

    def test_self(self) -> None:
        """
        An alias that contains itself means the user of that name.
        """
        world = World({"bob": "bob, far@else.test", "x": "x"})
        self.assertEqual(boxes(world.expand("bob")), ["bob"])
        self.assertEqual(problems(world.expand("x")), [("5.1.1", 'unknown user: "x"')])

    def test_loop(self) -> None:
        """
        A loop ends at 25 aliases; Postfix blames these names.
        """
        world = World({"a": "b", "b": "a", "c1": "c2", "c2": "c3", "c3": "c1"})
        for start, blamed in (("a", "b"), ("b", "a"), ("c1", "c2")):
            expansion = world.expand(start)
            text = f"alias database loop for {blamed}"
            self.assertEqual(problems(expansion), [("5.4.6", text)])
            self.assertEqual(expansion.warnings, [text])

    def test_depth(self) -> None:
        """
        As many aliases as Postfix allows inside each other, and no more.
        """
        chain = {f"n{i}": f"n{i + 1}" for i in range(100)}
        self.assertEqual(
            boxes(World({**chain, "n24": "bob@here.test"}).expand("n0")), []
        )
        world = World({**chain, "n23": "bob"})
        self.assertEqual(boxes(world.expand("n0")), ["bob"])
        self.assertEqual(MAX_LEVEL, 100)

    def test_delivered_to_loop(self) -> None:
        """
        A message that carries our Delivered-To has been here.
        """
        loops = frozenset((delivered_key("Bob@here.test"),))
        start = Start("bob@HERE.test", "", loops=loops)
        self.assertEqual(
            problems(World({}).expand(start)),
            [("5.4.6", "mail forwarding loop for bob@HERE.test")],
        )
        start = Start("x@here.test", "", loops=loops)
        expansion = World({"x": "bob, joe"}).expand(start)
        self.assertEqual(boxes(expansion), ["joe"])
        self.assertEqual(
            problems(expansion), [("5.4.6", "mail forwarding loop for bob@here.test")]
        )

    def test_empty(self) -> None:
        """
        An alias without members is a mistake of ours, not of the sender.
        """
        expansion = World({"x": " , "}).expand("x")
        self.assertEqual(problems(expansion), [("4.3.0", "alias database unavailable")])
        self.assertEqual(
            expansion.warnings, ["no recipient in alias lookup result for x"]
        )


class OwnerTests(SynchronousTestCase):
    ALIASES = {"list": "bob, far@else.test", "owner-list": "Joe, x"}

    def test_owner(self) -> None:
        """
        With an owner- alias, everything is forwarded with the owner as sender,
        local users too.
        """
        expansion = World(self.ALIASES).expand("list")
        self.assertEqual(boxes(expansion), [])
        self.assertEqual(
            expansion.forwards,
            {
                Onward("list@here.test", "owner-list@here.test", Ties.LIST): [
                    "bob@here.test",
                    "far@else.test",
                ]
            },
        )

    def test_expanded(self) -> None:
        """
        expand_owner_alias: the right-hand side is the sender.
        """
        expansion = World(self.ALIASES).expand("list", Rules(expand_owner_alias=True))
        self.assertEqual(
            list(expansion.forwards),
            [Onward("list@here.test", "Joe@here.test", Ties.LIST)],
        )

    def test_off(self) -> None:
        expansion = World(self.ALIASES).expand(
            "list", Rules(owner_request_special=False)
        )
        self.assertEqual(boxes(expansion), ["bob"])

    def test_original(self) -> None:
        """
        A list does not tell its members what the sender wrote.
        """
        aliases = {**self.ALIASES, "owner-list": "joe", "list": "sub", "sub": "bob"}
        rules = Rules(reset_owner_alias=True)
        (box,) = World(aliases).expand("list", rules).mailboxes
        self.assertEqual((box.original, box.sender), ("", "sender@else.test"))
        expansion = World(aliases).expand("list")
        self.assertEqual(
            list(expansion.forwards),
            [Onward("list@here.test", "owner-list@here.test", Ties.LIST)],
        )


class BoundTests(SynchronousTestCase):
    def test_wide(self) -> None:
        """
        A million members: stopped, deferred as our own mistake, memory flat.
        """
        value = ", ".join(f"m{n}@else.test" for n in range(1_000_000))
        world = World({"x": value})
        tracemalloc.start()
        expansion = world.expand("x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertEqual(
            problems(expansion),
            [("4.3.0", "unreasonable alias expansion size for x@here.test")],
        )
        self.assertLess(peak, 32 << 20)
        self.assertLess(world.asked, 2 * MAX_ADDRESSES)

    def test_deep_and_wide(self) -> None:
        """
        Every name is an alias of two new names, without end.
        """
        world = World(lambda n: f"{n}a, {n}b" if not n.startswith("owner-") else None)
        expansion = world.expand("x")
        self.assertIn("4.3.0", {status for status, _ in problems(expansion)})
        self.assertLess(world.asked, 10 * MAX_ADDRESSES)

    def test_same_names(self) -> None:
        """
        A million paths through few names are few deliveries.
        """
        aliases = {
            f"n{i}{side}": f"n{i + 1}a, n{i + 1}b" for i in range(20) for side in "ab"
        }
        aliases["n20a"] = aliases["n20b"] = "bob"
        world = World({**aliases, "x": "n0a, n0b"})
        self.assertEqual(boxes(world.expand("x")), ["bob"])
        self.assertLess(world.asked, 400)
