"""
The golden sessions, through adapter and engine.
"""

from __future__ import annotations

import inspect
import re
from unittest import mock

from twisted.internet.protocol import BaseProtocol, Protocol
from twisted.mail.smtp import ESMTP, SMTP
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.trial.unittest import SynchronousTestCase

from tests.smtp.server.golden import Golden, sessions
from tests.smtp.server.support import FRIEND, STRANGER, Talk, World, world

_QUEUED = re.compile(rb"queued as ID\d+")

#: What is called by others than the octets of a client.
_HARMLESS = {"__init__", "makeConnection", "__new__"}


def reachable_by_input() -> list[tuple[type, str]]:
    """
    @return: every method of twisted.mail's server classes and their bases.
    """
    return [
        (cls, name)
        for cls in (ESMTP, SMTP, LineOnlyReceiver, TimeoutMixin, Protocol, BaseProtocol)
        for name, value in vars(cls).items()
        if inspect.isfunction(value) and name not in _HARMLESS
    ]


class GoldenTests(SynchronousTestCase):
    def play(self, golden: Golden) -> tuple[World, Talk]:
        settings = {"smtpd_error_sleep_time": "0", **golden.settings}
        w = world(**settings)
        talk = w.connect(FRIEND if golden.friend else STRANGER)
        for step in golden.steps:
            if step.sent:
                self.assertFalse(talk.transport.disconnecting, step)
            heard = talk.say(step.sent) if step.sent else talk.heard()
            heard = _QUEUED.sub(b"queued as ID", heard)
            self.assertEqual(heard, step.expected, step.sent[:80])
            self.assertEqual(talk.transport.disconnecting, step.closed, step.sent[:80])
        talk.hang_up()
        return w, talk

    def check(self, golden: Golden) -> None:
        w, _talk = self.play(golden)
        if golden.contents:
            contents = [message.content for message in w.cleanup.queued]
            self.assertEqual(contents, golden.contents)
        lines = list(w.sink.lines)
        for line in golden.log:
            self.assertIn(line, lines)
        self.assertEqual(w.clock.getDelayedCalls(), [])
        self.assertEqual(w.factory.connections, set())

    def test_base_class_is_out_of_reach(self) -> None:
        """
        No octet of a client reaches the input handling of twisted.mail, with
        its known holes: every method of the base classes is replaced by one
        that raises, and every session still plays.
        """
        methods = reachable_by_input()
        self.assertGreater(len(methods), 50)
        for cls, name in methods:
            patcher = mock.patch.object(cls, name, side_effect=AssertionError(name))
            patcher.start()
            self.addCleanup(patcher.stop)
        for golden in sessions():
            self.play(golden)

    def test_enough(self) -> None:
        """
        The transcripts are found.
        """
        self.assertGreater(len(list(sessions())), 40)


def _case(golden: Golden) -> None:
    def test(self: GoldenTests) -> None:
        self.check(golden)

    test.__doc__ = f"C{{tests/golden/smtpd/{golden.name}.txt}}"
    setattr(GoldenTests, f"test_{golden.name.replace('-', '_')}", test)


for _golden in sessions():
    _case(_golden)
