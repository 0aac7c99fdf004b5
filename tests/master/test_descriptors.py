"""
Tests for L{txmta.master.descriptors}.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.master.socket_pairs import Pair, open_descriptors
from txmta.master.descriptors import receive, send


class DescriptorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair(self)

    def send(self, data: bytes, *descriptors: int) -> None:
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        self.pair.theirs.sendmsg([data], ancillary)

    def test_with_the_first_octet(self) -> None:
        """
        A descriptor comes with what it was sent with, and it is the same file.
        """
        sent = send(self.pair.theirs, b"abc", self.pair.file())
        self.assertEqual(sent, 3)
        data, (descriptor,), refused = receive(self.pair.ours, 100, 1)
        self.addCleanup(os.close, descriptor)
        self.assertEqual((data, refused), (b"abc", False))
        self.assertEqual(os.pread(descriptor, 100, 0), b"content")

    def test_exec(self) -> None:
        """
        No program that is run inherits it.
        """
        send(self.pair.theirs, b"abc", self.pair.file())
        (descriptor,) = receive(self.pair.ours, 100, 1).descriptors
        self.addCleanup(os.close, descriptor)
        self.assertTrue(fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)

    def test_none_wanted(self) -> None:
        """
        Where none is wanted, none gets in.
        """
        file = self.pair.file()
        before = open_descriptors()
        for count in (1, 2, 200):
            self.send(b"abc", *[file] * count)
            self.assertEqual(receive(self.pair.ours, 100, 0), (b"abc", [], True))
            self.assertEqual(open_descriptors(), before)

    def test_too_many(self) -> None:
        """
        Those above the wanted number are closed, and that is told.
        """
        file = self.pair.file()
        before = open_descriptors()
        for count in (2, 3, 200):
            self.send(b"abc", *[file] * count)
            data, (descriptor,), refused = receive(self.pair.ours, 100, 1)
            os.close(descriptor)
            self.assertEqual((data, refused), (b"abc", True))
        self.assertEqual(open_descriptors(), before)

    def test_one_sending_in_a_reading(self) -> None:
        """
        Descriptors of two sendings do not come together.
        """
        file = self.pair.file()
        self.pair.theirs.send(b"0")
        for data in (b"1", b"2"):
            send(self.pair.theirs, data, file)
        for expected in (b"01", b"2"):
            data, (descriptor,), _ = receive(self.pair.ours, 100, 1)
            os.close(descriptor)
            self.assertEqual(data, expected)

    def test_end(self) -> None:
        self.pair.theirs.close()
        self.assertEqual(receive(self.pair.ours, 100, 1), (b"", [], False))

    def test_nothing_there(self) -> None:
        self.assertRaises(BlockingIOError, receive, self.pair.ours, 100, 1)
