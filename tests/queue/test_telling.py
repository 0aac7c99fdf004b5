"""
Tests of L{txmta.queue.telling} in the queue manager: notices of success and
of delay. What is expected was seen with Debian's Postfix 3.7.
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from tests.queue.doubles import HOST, World, busy, no_user, sent
from tests.queue.test_notifier import to
from txmta.events import Notified
from txmta.model import Action, Forward, Notify, Outcome, Recipient
from txmta.queue.store.memory import Row

HOUR = 3600.0
SUCCESS, NEVER = int(Notify.SUCCESS), int(Notify.NEVER)
FAILURE, DELAY = int(Notify.FAILURE), int(Notify.DELAY)


def fields(row: Row) -> list[dict[str, str]]:
    """
    @return: of each recipient that a notice tells of.
    """
    part = cast("list[Message]", message_from_bytes(row.content).get_payload())[1]
    groups = cast("list[Message]", part.get_payload())
    return [{k: str(v) for k, v in g.items()} for g in groups[1:] if g.keys()]


def told(row: Row) -> list[str]:
    return [f["Final-Recipient"].removeprefix("rfc822; ") for f in fields(row)]


def subject(row: Row) -> str:
    return str(message_from_bytes(row.content)["Subject"])


class TellingCase(SynchronousTestCase):
    def use(self, **settings: str) -> None:
        """
        Notices stay in the queue.
        """
        self.world = World(**settings)
        self.world.start()
        for domain in ("example.com", HOST):
            self.world.resolver.routes[domain] = "local"

    def setUp(self) -> None:
        self.use()

    def notice(self, *queue_ids: str) -> Row:
        (row,) = self.world.others(*queue_ids)
        return row


class SuccessTests(TellingCase):
    def test_relayed(self) -> None:
        """
        Mail given to a server without DSN is reported as relayed, with the
        headers whatever RET says.
        """
        self.world.agent.answer = sent
        queue_id = self.world.put(recipients=[to("a@one", SUCCESS)], ret="FULL")
        row = self.notice()
        self.assertEqual(row.envelope.sender, "")
        self.assertEqual(subject(row), "Successful Mail Delivery Report")
        self.assertEqual(
            fields(row),
            [
                {
                    "Final-Recipient": "rfc822; a@one",
                    "Original-Recipient": "rfc822;a@one",
                    "Action": "relayed",
                    "Status": "2.0.0",
                    "Diagnostic-Code": "X-Postfix; delivery via x[1.2.3.4]:25: "
                    "250 2.0.0 Ok",
                }
            ],
        )
        self.assertIn(b"Content-Description: Message Headers\r\n", row.content)
        self.assertNotIn(b"hello", row.content)
        self.assertIn(
            f"bounce: {queue_id}: sender delivery status notification: "
            f"{row.envelope.queue_id}",
            self.world.sink.lines(),
        )

    def test_nobody_asked(self) -> None:
        """
        Without NOTIFY=SUCCESS nothing is said.
        """
        self.world.agent.answer = sent
        recipients = [to("a@one", 0), to("b@one", FAILURE | DELAY, 1)]
        self.world.put(recipients=[*recipients, to("c@one", NEVER, 2)])
        self.assertEqual(self.world.store.rows, {})

    def test_next_hop_reports(self) -> None:
        """
        A server with DSN reports itself.
        """

        def passed(r: Recipient) -> Outcome:
            return Outcome(r.n, Action.RELAYED, "2.0.0", "ok", dsn_passed=True)

        self.world.agent.answer = passed
        self.world.put(recipients=[to("a@one", SUCCESS)])
        self.assertEqual(self.world.store.rows, {})

    def test_each_attempt(self) -> None:
        """
        One notice for each attempt, with those delivered in it; failures have
        another one, in the same transaction.
        """
        world = self.world
        recipients = [to(f"u{n}@d{n}", SUCCESS | FAILURE, n) for n in range(4)]
        queue_id = world.put(recipients=recipients)
        for n, answer in enumerate((sent, no_user, busy, sent)):
            self.assertEqual(world.others(queue_id), [])
            world.agent.hands[n].end(answer)
        failure, success = world.others(queue_id)
        self.assertEqual(told(failure), ["u1@d1"])
        self.assertEqual(told(success), ["u0@d0", "u3@d3"])
        world.agent.answer = sent
        world.run(400)
        (again,) = world.others(
            queue_id, failure.envelope.queue_id, success.envelope.queue_id
        )
        self.assertEqual(told(again), ["u2@d2"])

    def test_long_attempt(self) -> None:
        """
        What is written down of an attempt that goes on is reported with it:
        a crash then loses no report.
        """
        world = self.world
        queue_id = world.put(recipients=[to("a@one", SUCCESS), to("b@two", SUCCESS, 1)])
        world.agent.hands[0].end()
        self.assertEqual(world.others(queue_id), [])
        world.run(6)
        first = self.notice(queue_id)
        self.assertEqual(told(first), ["a@one"])
        self.assertEqual(len(world.sink.of(Notified)), 1)
        world.restart()
        world.agent.hands[-1].end()
        (second,) = world.others(queue_id, first.envelope.queue_id)
        self.assertEqual(told(second), ["b@two"])

    def test_expanded(self) -> None:
        """
        An alias is reported as expanded, not what it holds.
        """
        world = self.world
        world.resolver.routes["here"] = "local"
        forward = Forward("sender@example.com", ("x@a",), b"")
        world.local.answer = lambda r: Outcome(
            r.n, Action.EXPANDED, "2.0.0", "forwarded", "local", forward=(forward,)
        )
        world.put(recipients=[to("list@here", SUCCESS)])
        _, notice = sorted(
            world.store.rows.values(), key=lambda row: not row.envelope.sender
        )
        (one,) = fields(notice)
        self.assertEqual(one["Action"], "expanded")
        self.assertEqual(
            one["Diagnostic-Code"], "X-Postfix; delivery via local: alias expanded"
        )

    def test_null_sender(self) -> None:
        """
        The null sender hears nothing, the postmaster if he wants to.
        """
        self.world.agent.answer = sent
        queue_id = self.world.put(recipients=[to("a@one", SUCCESS)], sender="")
        self.assertEqual(self.world.store.rows, {})
        self.assertIn(
            f"bounce: {queue_id}: not sending trace/success notification for "
            "single-bounce message",
            self.world.sink.lines(),
        )
        self.use(notify_classes="2bounce")
        self.world.agent.answer = sent
        self.world.put(recipients=[to("a@one", SUCCESS)], sender="")
        row = self.notice()
        self.assertEqual(row.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(row.envelope.recipients[0].original, "postmaster")
        self.assertEqual(subject(row), "Successful Mail Delivery Report")

    def test_double_bounce(self) -> None:
        """
        Mail to the postmaster is not reported.
        """
        self.world.agent.answer = sent
        sender = f"double-bounce@{HOST}"
        queue_id = self.world.put(recipients=[to("a@one", SUCCESS)], sender=sender)
        self.assertEqual(self.world.store.rows, {})
        self.assertEqual(self.world.sink.of(Notified), [])
        self.assertIn(
            f"bounce: {queue_id}: not sending trace/success notification for "
            "double-bounce message",
            self.world.sink.lines(),
        )


class DelayTests(TellingCase):
    def setUp(self) -> None:
        self.use(delay_warning_time="1h")

    def test_once(self) -> None:
        """
        After the first attempt that fails when it is time, and never again.
        """
        world = self.world
        world.agent.answer = busy
        queue_id = world.put("a@one", ret="FULL")
        world.run(HOUR - 60, 30)
        self.assertEqual(world.others(queue_id), [])
        world.run(2 * HOUR, 30)
        row = self.notice(queue_id)
        self.assertEqual(subject(row), "Delayed Mail (still being retried)")
        self.assertEqual(row.envelope.sender, "")
        (one,) = fields(row)
        self.assertEqual((one["Action"], one["Status"]), ("delayed", "4.2.0"))
        self.assertIn("Will-Retry-Until", one)
        self.assertIn(
            b"Content-Description: Undelivered Message Headers\r\n", row.content
        )
        self.assertNotIn(b"hello", row.content)
        self.assertIn(
            f"bounce: {queue_id}: sender delay notification: {row.envelope.queue_id}",
            world.sink.lines(),
        )
        world.run(5 * HOUR, 60)
        self.notice(queue_id)

    def test_restart(self) -> None:
        """
        Nor is it told again after a crash.
        """
        world = self.world
        world.agent.answer = busy
        queue_id = world.put("a@one", "b@one")
        world.run(2 * HOUR, 30)
        row = self.notice(queue_id)
        # One of those that were told is delivered; the other still counts.
        world.agent.answer = lambda r: (sent, busy)[r.n](r)
        world.run(2 * HOUR, 30)
        world.restart()
        world.agent.answer = busy
        world.run(3 * HOUR, 30)
        self.assertEqual(world.others(queue_id), [row])

    def test_who_asked(self) -> None:
        """
        NOTIFY without DELAY is silence; the postmaster's copy has all.
        """
        self.use(delay_warning_time="1h", notify_classes="delay")
        world = self.world
        world.agent.answer = busy
        recipients = [to("a@one", 0), to("b@one", DELAY, 1), to("c@one", FAILURE, 2)]
        queue_id = world.put(recipients=[*recipients, to("d@one", NEVER, 3)])
        world.run(2 * HOUR, 30)
        notice, copy = world.others(queue_id)
        self.assertEqual(told(notice), ["a@one", "b@one"])
        self.assertEqual(told(copy), ["a@one", "b@one", "c@one", "d@one"])
        self.assertEqual(subject(copy), "Postmaster Warning: Delayed Mail")
        self.assertEqual(copy.envelope.sender, f"double-bounce@{HOST}")

    def test_null_sender(self) -> None:
        """
        Bounces are late without a word.
        """
        self.world.agent.answer = busy
        queue_id = self.world.put("a@one", sender="")
        self.world.run(3 * HOUR, 30)
        self.assertEqual(self.world.others(queue_id), [])

    def test_off(self) -> None:
        """
        By default nobody is told.
        """
        self.use()
        self.world.agent.answer = busy
        queue_id = self.world.put("a@one")
        self.world.run(6 * HOUR, 60)
        self.assertEqual(self.world.others(queue_id), [])

    def test_cleared(self) -> None:
        """
        With confirm_delay_cleared who was told hears when it is over.
        """
        self.use(delay_warning_time="1h", confirm_delay_cleared="yes")
        world = self.world
        world.agent.answer = busy
        recipients = [to("a@one", 0), to("b@one", DELAY, 1), to("c@one", FAILURE, 2)]
        queue_id = world.put(recipients=recipients)
        world.run(2 * HOUR, 30)
        warning = self.notice(queue_id)
        world.restart()
        world.agent.answer = sent
        world.run(2 * HOUR, 30)
        success = self.notice(warning.envelope.queue_id)
        self.assertEqual(subject(success), "Successful Mail Delivery Report")
        self.assertEqual(told(success), ["a@one", "b@one"])

    def test_not_cleared(self) -> None:
        """
        By default he does not.
        """
        world = self.world
        world.agent.answer = busy
        queue_id = world.put("a@one")
        world.run(2 * HOUR, 30)
        warning = self.notice(queue_id)
        world.agent.answer = sent
        world.run(2 * HOUR, 30)
        self.assertEqual(list(world.store.rows.values()), [warning])


class ThreadTests(TellingCase):
    CONTENT = (
        b"Subject: x\r\nMESSAGE-ID : <a@b>  \r\nReferences: <c@d>\r\n\r\n"
        b"Message-Id: <no@no>\r\n"
    )

    def thread(self, content: bytes, **settings: str) -> tuple[str | None, str | None]:
        self.use(**settings)
        self.world.agent.answer = no_user
        self.world.put("a@one", content=content)
        message = message_from_bytes(self.notice().content)
        return message["References"], message["In-Reply-To"]

    def test_threaded(self) -> None:
        """
        A notice refers to the original alone.
        """
        found = self.thread(self.CONTENT, enable_threaded_bounces="yes")
        self.assertEqual(found, ("<a@b>", "<a@b>"))

    def test_off(self) -> None:
        """
        By default it does not.
        """
        self.assertEqual(self.thread(self.CONTENT), (None, None))

    def test_without(self) -> None:
        """
        No id, or none that is one, is no thread.
        """
        for content in (
            b"Subject: x\r\n\r\nMessage-Id: <a@b>\r\n",
            b"Message-Id: a@b\r\n\r\n",
            b"Message-Id:\r\n <a@b>\r\n\r\n",
        ):
            found = self.thread(content, enable_threaded_bounces="yes")
            self.assertEqual(found, (None, None))


class CopyTests(TellingCase):
    def test_never(self) -> None:
        """
        NOTIFY=NEVER silences the notice, not the postmaster's copy.
        """
        self.use(notify_classes="bounce")
        self.world.agent.answer = no_user
        self.world.put(recipients=[to("a@one", NEVER)])
        row = self.notice()
        self.assertEqual(row.envelope.sender, f"double-bounce@{HOST}")
        self.assertEqual(told(row), ["a@one"])

    def test_seven_bit(self) -> None:
        """
        Without SMTPUTF8 a notice about 7-bit mail is 7-bit mail.
        """
        self.use(smtputf8_enable="no")
        self.world.agent.answer = lambda r: Outcome(r.n, Action.FAILED, "5.0.0", "für")
        self.world.put("a@one", body="7BIT")
        row = self.notice()
        self.assertEqual(row.envelope.body, "7BIT")
        self.assertTrue(row.content.isascii())
        self.assertIn(b"Content-Transfer-Encoding: 7bit\r\n", row.content)
        self.assertNotIn(b"8bit", row.content)

    def test_own_words(self) -> None:
        """
        bounce_template_file says what people read.
        """
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(
                b"failure_template = <<E\nCharset: utf-8\nSubject: No\n"
                b"From: Post <MAILER-DAEMON>\n\nSch\xc3\xb6n von $myhostname.\nE\n"
            )
        self.use(bounce_template_file=path)
        self.world.agent.answer = no_user
        self.world.put("a@one")
        row = self.notice()
        self.assertEqual(subject(row), "No")
        message = message_from_bytes(row.content)
        self.assertEqual(message["From"], f"Post <MAILER-DAEMON@{HOST}>")
        self.assertIn(
            f"\r\n\r\nSchön von {HOST}.\r\n\r\n<a@one>:".encode(), row.content
        )
