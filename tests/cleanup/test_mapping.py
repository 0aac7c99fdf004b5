"""
Tests of mapping addresses: canonical, masquerade, copies, virtual aliases.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.cleanup.doubles import make_envelope
from tests.cleanup.mapping_doubles import LateTable, MappingKitchen
from txmta.cleanup.mapped_message import MappedMessage
from txmta.cleanup.message import CleanupMessage
from txmta.cleanup.questions import NotMapped
from txmta.events import Warn
from txmta.model import Envelope, Notify, Recipient, Reply

LATER = Reply(451, "4.3.0", "Error: queue file write error")
UNREASONABLE = Reply(451, "4.6.0", "Alias expansion error")


def recipients(*addresses: str, notify: int = 0) -> tuple[Recipient, ...]:
    return tuple(
        Recipient(n, address, address, notify=notify)
        for n, address in enumerate(addresses)
    )


class MappingTests(SynchronousTestCase):
    def kitchen(self, late: LateTable | None = None, /, **parameters: str) -> None:
        self.kitchen_ = MappingKitchen(late, **parameters)

    def run_message(
        self, content: bytes = b"Subject: x\r\n\r\n", **changes: Any
    ) -> tuple[bytes, Envelope, Reply]:
        changes.setdefault("local_origin", True)
        got, reply = self.kitchen_.run(content, **changes)
        return got, self.kitchen_.store.messages[-1].envelope, reply

    def mapped(self, *addresses: str, **changes: Any) -> list[str]:
        given = recipients(*addresses)
        _, envelope, reply = self.run_message(recipients=given, **changes)
        self.assertEqual(reply.code, 250)
        numbers = [each.n for each in envelope.recipients]
        self.assertEqual(numbers, list(range(len(numbers))))
        return [each.address for each in envelope.recipients]

    def header(self, value: bytes, name: bytes = b"To", **changes: Any) -> bytes:
        got, _, _ = self.run_message(name + b": " + value + b"\r\n\r\n", **changes)
        lines = got.partition(b"\r\n" + name + b": ")[2].split(b"\r\n")
        return lines[0]

    def warnings(self) -> list[str]:
        events = self.kitchen_.sink.events
        return [each.text for each in events if isinstance(each, Warn)]


class CanonicalTests(MappingTests):
    MAPS = (
        "inline:{{a@x.test=b@y.test},{c=d},{@z.test=@w.test},{l1=l2},{l2=l3},"
        "{self@x.test=Self@x.test},{two@x.test=e@x.test f@x.test},"
        "{null@x.test=<>},{none@x.test=;},{q@x.test=q+y@x.test}}"
    )

    def test_everywhere(self) -> None:
        """
        By default in all four classes, what is around stays.
        """
        self.kitchen(canonical_maps=self.MAPS)
        got, envelope, _ = self.run_message(
            b'From: "A" <a@x.test> (c)\r\nTo: a@x.test,\r\n\tG: c;, (x) z@q.test\r\n'
            b"X-To: a@x.test\r\n\r\na@x.test\r\n",
            sender="a@x.test",
            recipients=recipients("a@x.test", "u@z.test"),
        )
        self.assertEqual(envelope.sender, "b@y.test")
        found = [(each.address, each.original) for each in envelope.recipients]
        self.assertEqual(found, [("b@y.test", "a@x.test"), ("u@w.test", "u@z.test")])
        self.assertIn(
            b'From: "A" <b@y.test> (c)\r\nTo: b@y.test,\r\n\tG: d@here.test;, '
            b"(x) z@q.test\r\nX-To: a@x.test\r\n",
            got,
        )
        self.assertTrue(got.endswith(b"\r\n\r\na@x.test\r\n"))

    def test_classes(self) -> None:
        for classes, expected in (
            ("envelope_sender", ["b@y.test", "a@x.test", b"a@x.test", b"a@x.test"]),
            ("envelope_recipient", ["a@x.test", "b@y.test", b"a@x.test", b"a@x.test"]),
            ("header_sender", ["a@x.test", "a@x.test", b"b@y.test", b"a@x.test"]),
            ("header_recipient", ["a@x.test", "a@x.test", b"a@x.test", b"b@y.test"]),
        ):
            self.kitchen(canonical_maps=self.MAPS, canonical_classes=classes)
            _, envelope, _ = self.run_message(
                sender="a@x.test", recipients=recipients("a@x.test")
            )
            got = [
                envelope.sender,
                envelope.recipients[0].address,
                self.header(b"a@x.test", b"From", sender="o@x.test"),
                self.header(b"a@x.test", b"To"),
            ]
            self.assertEqual(got, expected, classes)

    def test_special_first(self) -> None:
        """
        sender_canonical_maps before canonical_maps, and only for senders.
        """
        self.kitchen(
            sender_canonical_maps="inline:{a@x.test=s@x.test}",
            recipient_canonical_maps="inline:{a@x.test=r@x.test}",
            canonical_maps="inline:{{s@x.test=ss@x.test},{r@x.test=rr@x.test}}",
        )
        _, envelope, _ = self.run_message(
            sender="a@x.test", recipients=recipients("a@x.test")
        )
        self.assertEqual(envelope.sender, "ss@x.test")
        self.assertEqual(envelope.recipients[0].address, "rr@x.test")
        self.assertEqual(self.header(b"a@x.test", b"Resent-Reply-To"), b"rr@x.test")

    def test_again(self) -> None:
        """
        Results are looked up again; what is found as itself ends it, and so
        does the tenth.
        """
        self.kitchen(canonical_maps=self.MAPS, recipient_delimiter="+")
        self.assertEqual(
            self.mapped("l1@here.test", "self@x.test", "l1+e@here.test"),
            ["l3@here.test", "Self@x.test", "l3+e@here.test"],
        )
        self.assertEqual(self.mapped("q@x.test"), ["q" + "+y" * 10 + "@x.test"])
        self.assertIn("unreasonable canonical_maps map nesting", self.warnings()[0])

    def test_propagate(self) -> None:
        self.kitchen(
            canonical_maps=self.MAPS,
            recipient_delimiter="+",
            propagate_unmatched_extensions="virtual",
        )
        self.assertEqual(self.mapped("l1+e@here.test"), ["l3@here.test"])
        self.assertEqual(self.mapped("u+e@z.test"), ["u+e@w.test"])

    def test_strange_results(self) -> None:
        self.kitchen(canonical_maps=self.MAPS)
        self.assertEqual(self.mapped("two@x.test"), ["e@x.test"])
        self.assertIn("multi-valued canonical_maps", self.warnings()[0])
        _, envelope, _ = self.run_message(sender="null@x.test")
        self.assertEqual(envelope.sender, "")
        _, _, reply = self.run_message(recipients=recipients("none@x.test"))
        self.assertEqual(reply, LATER)

    def test_null_sender(self) -> None:
        self.kitchen(canonical_maps="static:x@y.test")
        _, envelope, _ = self.run_message(sender="")
        self.assertEqual(envelope.sender, "")

    def test_strangers(self) -> None:
        """
        Their headers stay, their envelopes do not; unless
        remote_header_rewrite_domain is set.
        """
        self.kitchen(canonical_maps=self.MAPS)
        self.assertEqual(
            self.header(b"a@x.test", local_origin=False, sender="a@x.test"), b"a@x.test"
        )
        self.assertEqual(self.kitchen_.store.messages[-1].envelope.sender, "b@y.test")
        self.kitchen(canonical_maps=self.MAPS, remote_header_rewrite_domain="d.invalid")
        self.assertEqual(self.header(b"a@x.test", local_origin=False), b"b@y.test")

    def test_added_header(self) -> None:
        """
        From: that we add is the mapped sender.
        """
        self.kitchen(canonical_maps=self.MAPS)
        got, _, _ = self.run_message(sender="a@x.test")
        self.assertIn(b"\r\nFrom: b@y.test\r\n", got)


class MasqueradeTests(MappingTests):
    def test_classes(self) -> None:
        """
        By default all but envelope recipients.
        """
        self.kitchen(masquerade_domains="!deep.x.test x.test")
        for value, expected in (
            ("u@A.x.test", "u@x.test"),
            ("u@x.test", "u@x.test"),
            ("u@deep.x.test", "u@deep.x.test"),
            ("u@a.deep.x.test", "u@a.deep.x.test"),
            ("u@ax.test", "u@ax.test"),
        ):
            _, envelope, _ = self.run_message(
                sender=value, recipients=recipients(value)
            )
            self.assertEqual(envelope.sender, expected)
            self.assertEqual(envelope.recipients[0].address, value)
            self.assertEqual(self.header(value.encode()), expected.encode())

    def test_recipients_and_exceptions(self) -> None:
        self.kitchen(
            masquerade_domains="X.test",
            masquerade_classes="envelope_recipient",
            masquerade_exceptions="root, Admin",
        )
        got = self.mapped("root@a.x.test", "admin@a.x.test", "u@a.x.test")
        self.assertEqual(got, ["root@a.x.test", "admin@a.x.test", "u@x.test"])

    def test_after_canonical(self) -> None:
        self.kitchen(
            masquerade_domains="x.test", canonical_maps="inline:{u@y.test=v@a.x.test}"
        )
        self.assertEqual(self.header(b"u@y.test"), b"v@x.test")


class AliasTests(MappingTests):
    MAPS = (
        "inline:{{a@x.test=b@x.test, c},{b@x.test=d@x.test},{@y.test=a@x.test},"
        "{me@x.test=me@x.test, other@x.test},{l1@x.test=l2@x.test},"
        "{l2@x.test=l1@x.test},{u@x.test=v},{six@x.test=1 2 3 4 5 6}}"
    )

    def test_recursive(self) -> None:
        self.kitchen(virtual_alias_maps=self.MAPS)
        self.assertEqual(self.mapped("a@x.test"), ["d@x.test", "c@here.test"])
        self.assertEqual(self.mapped("me@x.test"), ["me@x.test", "other@x.test"])
        self.assertEqual(self.mapped("z@q.test"), ["z@q.test"])

    def test_original(self) -> None:
        """
        Each has the original recipient, ORCPT and NOTIFY, but that success is
        reported once, of the alias.
        """
        self.kitchen(virtual_alias_maps=self.MAPS)
        told = Notify.SUCCESS | Notify.FAILURE
        given = Recipient(0, "a@x.test", "A@x.test", "rfc822;A@x.test", told)
        _, envelope, _ = self.run_message(recipients=(given,))
        self.assertEqual(
            envelope.recipients,
            (
                replace(given, notify=Notify.SUCCESS | Notify.EXPANDED),
                replace(given, n=1, address="d@x.test", notify=Notify.FAILURE),
                replace(given, n=2, address="c@here.test", notify=Notify.FAILURE),
            ),
        )

    def test_only_success(self) -> None:
        """
        Who wants to hear of success alone hears of the alias alone; what is no
        alias stays.
        """
        self.kitchen(virtual_alias_maps=self.MAPS)
        given = recipients("b@x.test", "z@x.test", notify=Notify.SUCCESS)
        _, envelope, _ = self.run_message(recipients=given)
        self.assertEqual(
            [(each.address, each.notify) for each in envelope.recipients],
            [
                ("b@x.test", Notify.SUCCESS | Notify.EXPANDED),
                ("d@x.test", Notify.NEVER),
                ("z@x.test", Notify.SUCCESS),
            ],
        )

    def test_duplicates(self) -> None:
        """
        The same mailbox for another original recipient is another one, unless
        enable_original_recipient is off.
        """
        two = ("a@x.test", "b@x.test", "a@x.test")
        self.kitchen(virtual_alias_maps=self.MAPS)
        self.assertEqual(self.mapped(*two), ["d@x.test", "c@here.test", "d@x.test"])
        self.kitchen(virtual_alias_maps=self.MAPS, enable_original_recipient="no")
        self.assertEqual(self.mapped(*two), ["d@x.test", "c@here.test"])

    def test_extension(self) -> None:
        self.kitchen(virtual_alias_maps=self.MAPS, recipient_delimiter="+-")
        self.assertEqual(
            self.mapped("u+e@x.test", "u-e+f@x.test", "q+e@y.test"),
            ["v+e@here.test", "v-e+f@here.test", "d@x.test", "c@here.test"],
        )

    def test_limits(self) -> None:
        """
        Over a limit the message is not accepted.
        """
        for name, value, address in (
            ("virtual_alias_recursion_limit", "20", "l1@x.test"),
            ("virtual_alias_recursion_limit", "1", "a@x.test"),
            ("virtual_alias_expansion_limit", "5", "six@x.test"),
            ("virtual_alias_address_length_limit", "7", "b@x.test"),
        ):
            self.kitchen(virtual_alias_maps=self.MAPS, **{name: value})
            _, _, reply = self.run_message(recipients=recipients(address))
            self.assertEqual(reply, UNREASONABLE, name)
            self.assertIn("message not accepted, try again later", self.warnings()[0])
            self.assertTrue(self.kitchen_.store.messages[-1].aborted)

    def test_too_many(self) -> None:
        """
        Recipients of one message, even if no alias is too large.
        """
        addresses = " ".join(f"u{n}@x.test" for n in range(1000))
        self.kitchen(virtual_alias_maps=f"inline:{{ {{@y.test={addresses}}} }}")
        many = recipients(*(f"r{n}@y.test" for n in range(101)))
        _, _, reply = self.run_message(recipients=many)
        self.assertEqual(reply, UNREASONABLE)


class CopyTests(MappingTests):
    PARAMETERS = {
        "always_bcc": "all",
        "sender_bcc_maps": "inline:{s@x.test=sender}",
        "recipient_bcc_maps": "inline:{r@x.test=rcpt@x.test}",
        "canonical_maps": "inline:{rcpt@x.test=canon@x.test}",
        "virtual_alias_maps": "inline:{canon@x.test=last@x.test}",
    }

    def test_all(self) -> None:
        """
        Nobody hears of what becomes of a copy.
        """
        self.kitchen(**self.PARAMETERS)
        _, envelope, _ = self.run_message(
            sender="s@x.test", recipients=recipients("r@x.test", "q@x.test")
        )
        never = int(Notify.NEVER)
        self.assertEqual(
            [(r.address, r.original, int(r.notify)) for r in envelope.recipients],
            [
                ("sender@here.test", "sender@here.test", never),
                ("r@x.test", "r@x.test", 0),
                ("last@x.test", "canon@x.test", never),
                ("q@x.test", "q@x.test", 0),
                ("all@here.test", "all@here.test", never),
            ],
        )

    def test_not_for_mail_made_here(self) -> None:
        self.kitchen(**self.PARAMETERS)
        mapper = self.kitchen_.cleanup.mapper
        assert mapper is not None
        envelope = make_envelope(
            sender="s@x.test", recipients=recipients("r@x.test", "canon@x.test")
        )
        later = Deferred.fromCoroutine(mapper.internal(envelope))
        mapped = self.successResultOf(later)
        got = [each.address for each in mapped.recipients]
        self.assertEqual(got, ["r@x.test", "last@x.test"])

    def test_mail_made_here_waits(self) -> None:
        """
        It is not stored as it is when a table cannot be asked.
        """
        self.kitchen(virtual_alias_maps="fail:x")
        mapper = self.kitchen_.cleanup.mapper
        assert mapper is not None
        later = Deferred.fromCoroutine(mapper.internal(make_envelope()))
        self.failureResultOf(later, NotMapped)
        self.assertIn("virtual_alias_maps map lookup problem", self.warnings()[0])

    def test_switched_off(self) -> None:
        """
        no_address_mappings: nothing of all that; and without any of the
        parameters messages are of the cheaper kind.
        """
        for parameters, kind in (
            (self.PARAMETERS, MappedMessage),
            (
                {**self.PARAMETERS, "receive_override_options": "no_address_mappings"},
                CleanupMessage,
            ),
            ({}, CleanupMessage),
        ):
            self.kitchen(**parameters)
            message = self.kitchen_.cleanup.open(make_envelope())
            self.assertIs(type(message), kind)


class TroubleTests(MappingTests):
    """
    What cannot be asked is never taken for "not found".
    """

    def test_every_table(self) -> None:
        for name, value in (
            ("canonical_maps", "fail:x"),
            ("sender_canonical_maps", "fail:x"),
            ("recipient_canonical_maps", "fail:x"),
            ("virtual_alias_maps", "fail:x"),
            ("sender_bcc_maps", "fail:x"),
            ("recipient_bcc_maps", "fail:x"),
            ("masquerade_exceptions", "fail:x"),
            ("canonical_maps", "inline:{{r@y.test=}}"),
        ):
            self.kitchen(masquerade_domains="x.test", **{name: value})
            _, _, reply = self.run_message(sender="s@a.x.test")
            self.assertEqual(reply, LATER, name)
            self.assertTrue(self.kitchen_.store.messages[-1].aborted, name)
            self.assertIn(f"{name} map lookup problem", self.warnings()[0])

    def test_in_header(self) -> None:
        self.kitchen(canonical_maps="fail:x", canonical_classes="header_sender")
        _, _, reply = self.run_message(b"From: x@y.test\r\n\r\nbody\r\n")
        self.assertEqual(reply, LATER)
        self.assertIsNone(self.kitchen_.store.messages[-1].committed)


class LateTests(MappingTests):
    """
    Tables that answer later.
    """

    def open(self, **changes: Any) -> Any:
        self.late = LateTable({"a@x.test": "b@x.test", "r@y.test": "q@y.test"})
        self.kitchen(self.late, canonical_maps="fail:late")
        return self.kitchen_.cleanup.open(make_envelope(local_origin=True, **changes))

    def finished(self, reply: object) -> Reply:
        incoming = self.kitchen_.store.messages[-1]
        assert incoming.committed is not None
        incoming.committed.callback("ID")
        assert isinstance(reply, Deferred)
        return cast(Reply, self.successResultOf(reply))

    def test_order(self) -> None:
        """
        However content and answers come, the same is stored.
        """
        pieces = (b"Fro", b"m: a@x.test\r\nTo: r@y.test\r\n", b"\r\nbo", b"dy\r\n")
        for answer_after in range(5):
            message = self.open(sender="a@x.test")
            for n, piece in enumerate(pieces):
                if n >= answer_after:
                    self.late.answer()
                message.write(piece)
            reply = message.finish()
            self.assertIsNone(self.kitchen_.store.messages[-1].committed)
            self.late.answer()
            self.assertEqual(self.finished(reply).code, 250)
            incoming = self.kitchen_.store.messages[-1]
            self.assertEqual(incoming.envelope.sender, "b@x.test")
            self.assertEqual(incoming.envelope.recipients[0].address, "q@y.test")
            self.assertIn(b"From: b@x.test\r\nTo: q@y.test\r\n", incoming.content)
            self.assertTrue(incoming.content.endswith(b"\r\n\r\nbody\r\n"))
            self.assertEqual(self.kitchen_.cleanup.held.octets, 0)

    def test_failure(self) -> None:
        message = self.open()
        message.write(b"\r\nbody\r\n")
        reply = message.finish()
        self.late.fail()
        self.assertEqual(self.successResultOf(reply), LATER)
        self.assertIsNone(self.kitchen_.store.messages[-1].committed)
        self.assertEqual(self.kitchen_.cleanup.held.octets, 0)

    def test_too_much(self) -> None:
        """
        What waits is bounded, for all messages together.
        """
        message = self.open()
        cleanup = self.kitchen_.cleanup
        cleanup.held.limit = 10
        other = cleanup.open(make_envelope())
        other.write(b"123456")
        message.write(b"12345")
        message.write(b"more")
        self.assertEqual(cleanup.held.octets, 6)
        reply = message.finish()
        self.late.answer()
        self.assertEqual(self.successResultOf(reply), LATER)
        self.assertEqual(cleanup.held.octets, 0)

    def test_abort(self) -> None:
        """
        Nothing is stored for a client that is gone, even if it waits for the
        last reply.
        """
        for end in (False, True):
            message = self.open()
            message.write(b"\r\nbody\r\n")
            reply = message.finish() if end else None
            message.abort()
            self.late.answer()
            incoming = self.kitchen_.store.messages[-1]
            self.assertTrue(incoming.aborted)
            self.assertIsNone(incoming.committed)
            self.assertEqual(self.kitchen_.cleanup.held.octets, 0)
            if reply is not None:
                self.assertEqual(self.successResultOf(reply), LATER)
