"""
L{txmta.delivery.user_expansion}

What is expected was observed on Debian's Postfix 3.7; see also
C{tests/interop/test_local_oracle.py}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.delivery.test_expansion import (
    BOB,
    World,
    boxes,
    commands,
    files,
    problems,
)
from txmta.delivery.destinations import Expansion, Onward, Ties
from txmta.delivery.questions import (
    FindUser,
    Listed,
    Question,
    ReadForward,
    Rules,
    Start,
    Trouble,
)

PATHS = ("$home/.forward${recipient_delimiter}${extension}", "$home/.forward")
RULES = Rules("+", forward_path=PATHS, forward_expansion_filter="abcx./-homefrwd")
FORWARD = "/home/bob/.forward"


def elsewhere(expansion: Expansion) -> list[str]:
    return [address for group in expansion.forwards.values() for address in group]


class ForwardTests(SynchronousTestCase):
    def expand(
        self, text: str, start: str = "bob", aliases: dict[str, str] | None = None
    ) -> Expansion:
        self.world = World(aliases or {})
        self.world.files[FORWARD] = text
        return self.world.expand(start, RULES)

    def test_elsewhere(self) -> None:
        """
        As an alias: the sender stays, the mailbox gets nothing.
        """
        expansion = self.expand("far@else.test\n")
        self.assertEqual(
            expansion.forwards,
            {Onward("bob@here.test", "sender@else.test"): ["far@else.test"]},
        )
        self.assertEqual((boxes(expansion), expansion.ties), ([], Ties.ALIAS))

    def test_self(self) -> None:
        """
        Who lists himself has it in his mailbox too, with or without a
        backslash, under whatever alias; the file is read once.
        """
        for text in (
            "\\bob, far@else.test",
            "bob\nfar@else.test\n",
            "me,far@else.test",
        ):
            expansion = self.expand(text, aliases={"me": "bob"})
            self.assertEqual(boxes(expansion), ["bob"], text)
            self.assertEqual(elsewhere(expansion), ["far@else.test"])
            reads = [q for q in self.world.questions if isinstance(q, ReadForward)]
            self.assertEqual(len(reads), 1)

    def test_alias_in_own_file(self) -> None:
        """
        Mail for the alias of a user who lists that alias.
        """
        expansion = self.expand("me, far@else.test", "me", {"me": "bob"})
        self.assertEqual(boxes(expansion), ["bob"])
        self.assertEqual(elsewhere(expansion), ["far@else.test"])

    def test_other_users(self) -> None:
        """
        Other users get a message of their own.
        """
        expansion = self.expand("joe")
        self.assertEqual(
            (boxes(expansion), elsewhere(expansion)), ([], ["joe@here.test"])
        )

    def test_leads_only_to(self) -> None:
        """
        Whether a branch can be tried again alone: not where that would repeat
        what stands beside it.
        """
        for text, start, aliases, expected in (
            ("", "bob", {}, True),
            ("", "x", {"x": "bob, joe"}, True),
            ("bob, far@else.test", "x", {"x": "bob"}, False),
            ("x, far@else.test", "x", {"x": "bob"}, False),
            ("", "x", {"x": "bob", "bob": "bob, far@else.test"}, False),
        ):
            expansion = self.expand(text, start, aliases)
            found = {box.account.name: box.alone for box in expansion.mailboxes}
            self.assertIs(found["bob"], expected, (text, aliases))
        expansion = self.expand("|c, /f")
        (command,), (file,) = expansion.commands, expansion.files
        self.assertEqual((command.alone, file.alone), (False, False))

    def test_beside_a_transport(self) -> None:
        """
        With mailbox_transport, a user with a .forward file, in an alias, gets
        a message of his own; who has none does not need one.
        """
        rules = replace(RULES, mailbox_transport="lmtp")
        world = World({"x": "bob, joe"})
        world.files[FORWARD] = "bob, far@else.test"
        expansion = world.expand("x", rules)
        self.assertEqual(elsewhere(expansion), ["bob@here.test"])
        self.assertEqual(
            [(to.address, to.alone) for to in expansion.transports],
            [("joe@here.test", True)],
        )
        expansion = world.expand("bob", rules)
        self.assertEqual(elsewhere(expansion), ["far@else.test"])
        self.assertEqual([to.alone for to in expansion.transports], [False])

    def test_twice(self) -> None:
        """
        A file that is reached twice counts once, and not as a mailbox.
        """
        expansion = self.expand("far@else.test", "x", {"x": "bob, y", "y": "bob"})
        self.assertEqual(
            (boxes(expansion), elsewhere(expansion)), ([], ["far@else.test"])
        )

    def test_nothing_in_it(self) -> None:
        """
        An empty file means: do not forward.
        """
        for text in ("", "# nothing\n", "\n \n", "\0"):
            expansion = self.expand(text)
            self.assertEqual((boxes(expansion), elsewhere(expansion)), (["bob"], []))
            self.assertIs(expansion.ties, Ties.FULL)

    def test_useless(self) -> None:
        """
        A file that is not to be trusted is as if it were empty, with a
        warning.
        """

        class Bad(World):
            def _read(self, question: Question) -> Listed:
                return Listed(FORWARD, "", warning="world writable")

        expansion = Bad({}).expand("bob", RULES)
        self.assertEqual(boxes(expansion), ["bob"])
        self.assertEqual(expansion.warnings, ["world writable"])

    def test_trouble(self) -> None:
        """
        A file that cannot be read now is not passed over.
        """
        world = World({})
        world.files[FORWARD] = Trouble("4.3.0", "no answer")
        expansion = world.expand("bob", RULES)
        self.assertEqual(problems(expansion), [("4.3.0", "no answer")])
        self.assertEqual(boxes(expansion), [])

    def test_rights(self) -> None:
        """
        Commands and files have the user's rights, also those of a list in his
        file; an alias in it has those of its own.
        """
        expansion = self.expand("|cmd, ~/file, /file, sys", aliases={"sys": "|sys"})
        self.assertEqual(commands(expansion), [("cmd", BOB), ("sys", None)])
        self.assertEqual(files(expansion), [("/home/bob/file", BOB), ("/file", BOB)])

    def test_command_is_told(self) -> None:
        """
        On whose behalf: the user's, and the address with its extension.
        """
        (to,) = self.expand("|cmd", "Bob+a").commands
        self.assertEqual(
            (to.names.user, to.names.extension, to.names.address, to.names.local),
            ("bob", "a", "Bob+a@here.test", "bob+a"),
        )

    def test_extension(self) -> None:
        """
        The file with the extension first; only the other one passes it on.
        """
        world = World({})
        world.files = {FORWARD: "base@else.test", f"{FORWARD}+a": "ext@else.test"}
        for start, propagate, expected in (
            ("bob", True, "base@else.test"),
            ("bob+a", False, "ext@else.test"),
            ("bob+a", True, "ext@else.test"),
            ("bob+b", False, "base@else.test"),
            ("bob+b", True, "base+b@else.test"),
            ("bob+", False, "base@else.test"),
        ):
            rules = Rules(
                "+",
                forward_path=PATHS,
                forward_expansion_filter="abhome/.+",
                propagate_forward=propagate,
            )
            expansion = world.expand(start, rules)
            self.assertEqual(elsewhere(expansion), [expected], start)

    def test_filter(self) -> None:
        """
        Only what forward_expansion_filter allows gets into a path; a slash
        in an extension does not get so far.
        """
        world = World({})
        world.expand("bob+a$(b)\xe9", RULES)
        (question,) = world.questions
        assert isinstance(question, ReadForward)
        self.assertEqual(question.paths[0], f"{FORWARD}_a__b___")
        world.expand("bob+../../x", RULES)
        question = world.questions[-1]
        assert isinstance(question, ReadForward)
        self.assertEqual(question.paths, (FORWARD,))

    def test_macros(self) -> None:
        """
        A path with a name that has no value is left out; malformed ones are
        named in a warning.
        """
        rules = Rules(
            "+",
            forward_path=(
                "/x/$nothing",
                "/${extension?e}$user",
                "/${user",
                "$extension",
            ),
            forward_expansion_filter="bobex",
        )
        world = World({})
        expansion = world.expand("bob", rules)
        self.assertEqual(world.questions, [ReadForward(BOB, ("/bob",))])
        self.assertEqual(len(expansion.warnings), 1)
        self.assertIn("forward_path: /${user", expansion.warnings[0])

    def test_off(self) -> None:
        world = World({})
        self.assertEqual(boxes(world.expand("bob", Rules())), ["bob"])
        self.assertEqual(world.questions, [])

    def test_home(self) -> None:
        """
        require_home_directory: no home, no delivery.
        """
        world = World({})
        world.homeless.add("bob")
        rules = Rules(require_home_directory=True)
        self.assertEqual(
            problems(world.expand("bob", rules)), [("4.3.0", "cannot access home")]
        )
        self.assertEqual(boxes(world.expand("joe", rules)), ["joe"])

    def test_thawed(self) -> None:
        """
        frozen_delivered_to = no: the forwarded message names the user.
        """
        world = World({"x": "bob"})
        world.files[FORWARD] = "far@else.test"
        rules = Rules(
            forward_path=("$home/.forward",),
            forward_expansion_filter="/homeb",
            frozen_delivered_to=False,
        )
        (key,) = world.expand("x", rules).forwards
        self.assertEqual(key.delivered, "bob@here.test")


class MailboxTests(SynchronousTestCase):
    """
    The order of methods.
    """

    def test_order(self) -> None:
        """
        Each method, once it is set, hides those after it.
        """
        world = World({})
        world.maps = {
            "mailbox_transport_maps": {"bob": "t1"},
            "mailbox_command_maps": {"bob": "c1"},
        }
        maps = frozenset(world.maps)

        def ways(name: str, rules: Rules) -> tuple[list[str], list[str], list[str]]:
            expansion = world.expand(name, rules)
            transports = [to.transport for to in expansion.transports]
            return transports, [c for c, _ in commands(expansion)], boxes(expansion)

        for name, rules, expected in (
            ("bob", Rules(), ([], [], ["bob"])),
            ("bob", Rules(mailbox_command="c2"), ([], ["c2"], [])),
            (
                "bob",
                Rules(mailbox_command="c2", maps=frozenset(("mailbox_command_maps",))),
                ([], ["c1"], []),
            ),
            (
                "bob",
                Rules(mailbox_transport="t2", mailbox_command="c2"),
                (["t2"], [], []),
            ),
            ("bob", Rules(mailbox_transport="t2", maps=maps), (["t1"], [], [])),
            ("joe", Rules(mailbox_transport="t2", maps=maps), (["t2"], [], [])),
            ("nobody", Rules(mailbox_transport="t2"), (["t2"], [], [])),
        ):
            self.assertEqual(ways(name, rules), expected)

    def test_key(self) -> None:
        """
        Tables are asked for the user, without extension.
        """
        world = World({})
        world.maps = {"mailbox_transport_maps": {"bob": "t"}}
        rules = Rules("+", maps=frozenset(world.maps))
        (to,) = world.expand("Bob+x", rules).transports
        self.assertEqual((to.transport, to.address), ("t", "Bob+x@here.test"))

    def test_command_rights(self) -> None:
        """
        mailbox_command runs as the user, and is no command that somebody
        wrote into a file: allow_mail_to_commands says nothing of it.
        """
        rules = Rules(mailbox_command="c", commands=frozenset())
        self.assertEqual(commands(World({}).expand("bob", rules)), [("c", BOB)])

    def test_not_asked(self) -> None:
        """
        With mailbox_transport nobody needs to know the user; else one question
        is enough.
        """
        asked: list[Question] = []

        class Curious(World):
            def answer(self, question: Question):  # type: ignore[no-untyped-def]
                asked.append(question)
                return super().answer(question)

        Curious({}).expand("bob", Rules(mailbox_transport="t"))
        self.assertFalse([q for q in asked if isinstance(q, FindUser)])
        for name in ("bob", "nobody"):
            asked.clear()
            Curious({}).expand(name, RULES)
            self.assertEqual(len([q for q in asked if isinstance(q, FindUser)]), 1)


class UnknownTests(SynchronousTestCase):
    def test_fallback(self) -> None:
        world = World({})
        world.maps = {"fallback_transport_maps": {"gone": "t1"}}
        rules = Rules(
            fallback_transport="t2",
            luser_relay="x@else.test",
            maps=frozenset(world.maps),
        )
        for name, expected in (("gone", ["t1"]), ("other", ["t2"]), ("bob", [])):
            transports = world.expand(name, rules).transports
            self.assertEqual([to.transport for to in transports], expected)

    def test_luser_relay(self) -> None:
        """
        Its names; the new recipient stands for the old one.
        """
        relay = "$user.$local.$domain.${extension?e}.$recipient_delimiter@else.test"
        rules = Rules("+", luser_relay=relay)
        expansion = World({}).expand("Gone+A", rules)
        self.assertEqual(elsewhere(expansion), ["gone.gone+a.here.test.e.+@else.test"])
        (key,) = expansion.forwards
        self.assertIs(key.ties, Ties.FULL)
        expansion = World({}).expand("gone", rules)
        self.assertEqual(elsewhere(expansion), ["gone.gone.here.test..+@else.test"])

    def test_luser_here(self) -> None:
        """
        A local address: aliases, .forward and mailbox as ever.
        """
        rules = Rules(luser_relay="all")
        self.assertEqual(
            boxes(World({"all": "bob, joe"}).expand("x", rules)), ["bob", "joe"]
        )

    def test_luser_loop(self) -> None:
        """
        A luser_relay that is not known either. Postfix loses the mail.
        """
        for relay in ("gone", "$local", "$user@here.test"):
            expansion = World({}).expand("x", Rules(luser_relay=relay))
            ((status, _reason),) = problems(expansion)
            self.assertEqual(status[0], "5")

    def test_luser_is_no_command(self) -> None:
        for relay in ("|cmd", "/file", ":include:/etc/passwd"):
            expansion = World({}).expand("x", Rules(luser_relay=relay))
            self.assertEqual((commands(expansion), files(expansion)), ([], []))
            self.assertFalse(expansion.is_empty())

    def test_luser_domain(self) -> None:
        """
        Nothing in a local part hides the domain of luser_relay.
        """
        for local in ("x@evil.test(", 'a"b', "<x@evil.test>", "a,b@evil.test", "a\\"):
            start = Start(f"{local}@here.test", "")
            expansion = World({}).expand(start, Rules(luser_relay="c+$local@else.test"))
            self.assertEqual(elsewhere(expansion), [f"c+{local}@else.test"])

    def test_luser_malformed(self) -> None:
        """
        Our own mistake: nobody's mail bounces for it.
        """
        expansion = World({}).expand("x", Rules(luser_relay="${user"))
        self.assertEqual(
            problems(expansion), [("4.3.5", "mail system configuration error")]
        )
        expansion = World({}).expand("x", Rules(luser_relay="$extension"))
        self.assertEqual(problems(expansion), [("5.1.1", 'unknown user: "x"')])

    def test_required_names(self) -> None:
        """
        luser_relay gets postmaster's mail too; without it, it is discarded.
        """
        expansion = World({}).expand("postmaster", Rules(luser_relay="x@else.test"))
        self.assertEqual(elsewhere(expansion), ["x@else.test"])
        self.assertTrue(World({}).expand("mailer-daemon").discarded)
