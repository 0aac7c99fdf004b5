"""
Postfix's own test data for bounces: templates, and whole notices.

Left out, or changed before they are compared:
 - C{logfile-*} are bounce logs, which we do not have; what they say is the same
   in all of them and stands here as values.
 - C{Remote-MTA:} has the type C{dsn-mtype} there; ours is always C{dns}.
 - C{Original-Recipient:} without ORCPT has a space after C{rfc822;} there. What
   Postfix's SMTP server takes has none, and so have we.
 - C{Date:} and C{Message-Id:} are added by cleanup there, by ourselves here.

The data are not part of the project; see C{tests.support.cases}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import cases
from txmta.model import LOCAL_CLIENT, Action, Envelope, Outcome, Recipient
from txmta.queue.bounce import Report, Site, Stamps, message_id, notification
from txmta.queue.notifier import headers
from txmta.queue.templates import BUILT_IN, Templates, parse

FOLDER = "postfix-content/bounce"

RECIPIENT = Recipient(0, "rcpt-address", "rcpt-orig_addr")
OUTCOME = Outcome(
    0,
    Action.FAILED,
    "dsn-status",
    "dsn-reason",
    remote="dsn-mname",
    diagnostic="dsn-dtype; dsn-dtext",
)


def records(octets: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    @return: type and text of the records of a queue file of Postfix's.
    """
    at = 0
    while at < len(octets):
        kind, at = octets[at : at + 1], at + 1
        length = shift = 0
        while True:
            octet, at = octets[at], at + 1
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        yield kind, octets[at : at + length]
        at += length


def content(queue_file: bytes) -> bytes:
    lines = [text for kind, text in records(queue_file) if kind == b"N"]
    return b"".join(line + b"\r\n" for line in lines)


def notice(original: bytes, arrival: bytes, threaded: bool) -> bytes:
    """
    @return: as Postfix's test program makes it, with LF.
    """
    envelope = Envelope(
        "msgid",
        0.0,
        "sender@sender.example",
        (RECIPIENT,),
        LOCAL_CLIENT,
        envid="TEST-ENVID",
    )
    thread = message_id(headers(original)) if threaded else ""
    report = Report(
        replace(BUILT_IN["failure"], text=""),
        "test-recipient",
        envelope,
        [(RECIPIENT, OUTCOME)],
        original,
        True,
        thread=thread or "",
        eight_bit=False,
    )
    stamps = Stamps("msgid.unix-time/mail.example", b"D", arrival, b"", "<I>")
    made = notification(report, Site("mail.example", "", "Postfix"), stamps)
    return re.sub(rb"(?m)^(?:Date: D|Message-Id: <I>)\n", b"", made.replace(b"\r", b""))


def expected(reference: bytes) -> bytes:
    reference = reference.replace(b"Remote-MTA: dsn-mtype; ", b"Remote-MTA: dns; ")
    return reference.replace(
        b"\nOriginal-Recipient: rfc822; ", b"\nOriginal-Recipient: rfc822;"
    )


class NoticeTests(SynchronousTestCase):
    def references(self) -> Iterator[Path]:
        yield from sorted(cases(FOLDER).glob("*-thread.ref"))

    def test_all(self) -> None:
        """
        The same notice, from the original that is in it.
        """
        count = 0
        for path in self.references():
            reference = path.read_bytes()
            _, _, original = reference.partition(
                b"Return-Path: <sender@sender.example>\n"
            )
            original, _, _ = original.rpartition(b"\n--msgid.unix-time/")
            arrival = re.search(rb"\nArrival-Date: (.*)\n", reference)
            assert arrival is not None
            made = notice(
                original.replace(b"\n", b"\r\n"),
                arrival[1],
                path.name.endswith("-with-thread.ref"),
            )
            self.assertEqual(made, expected(reference), path.name)
            count += 1
        self.assertGreaterEqual(count, 8)

    def test_queue_files(self) -> None:
        """
        The same from the message as it was in the queue.
        """
        for name in ("with-message-id", "no-message-id"):
            original = content((cases(FOLDER) / f"msgfile-{name}").read_bytes())
            for threaded, suffix in ((False, "no-thread"), (True, "with-thread")):
                reference = (cases(FOLDER) / f"{name}-{suffix}.ref").read_bytes()
                made = notice(
                    original, b"Wed, 11 Sep 2024 18:05:54 -0400 (EDT)", threaded
                )
                self.assertEqual(made, expected(reference), f"{name}-{suffix}")


class TemplateTests(SynchronousTestCase):
    def parsed(self, name: str) -> Templates:
        warnings: list[str] = []
        text = (cases(FOLDER) / name).read_text()
        templates = parse(text, "[built-in]", warnings.append)
        self.assertEqual(warnings, [])
        return templates

    def test_built_in(self) -> None:
        """
        What Postfix writes of its own templates says what ours say.
        """
        for name in ("template_test.ref", "2template_test.in"):
            self.assertEqual(self.parsed(name), BUILT_IN, name)

    def test_obsolete_from(self) -> None:
        """
        With header_from_format = obsolete only From: is another one.
        """
        for name, template in self.parsed("obs_template_test.ref").items():
            self.assertEqual(template.sender, "MAILER-DAEMON (Mail Delivery System)")
            sender = BUILT_IN[name].sender
            self.assertEqual(replace(template, sender=sender), BUILT_IN[name])
