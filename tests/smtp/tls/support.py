"""
A client that speaks TLS to a server session, without a network.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.smtp.server.support import STRANGER, Transport, World, world
from tests.tls_help import Authority, write
from txmta.smtp.server import SMTPServer


def received(connection: SSL.Connection, wire: bool) -> bytes:
    """
    @param wire: what is to be sent, not what was said.
    """
    out = b""
    try:
        while True:
            out += connection.bio_read(65536) if wire else connection.recv(65536)
    except (SSL.WantReadError, SSL.ZeroReturnError):
        return out


class TLSTransport(Transport):
    """
    A server's transport, which does with TLS what Twisted's does.
    """

    handle: SSL.Connection | None = None
    shaken = False

    def __init__(self, server: SMTPServer) -> None:
        super().__init__()
        self.server = server

    def startTLS(self, creator: Any, normal: bool = True) -> None:
        self.handle = creator.serverConnectionForTLS(None)
        assert self.handle is not None
        self.handle.set_accept_state()
        # It gets what arrives.
        self.protocol = self

    def getHandle(self) -> Any:
        return self.handle

    def write(self, data: bytes) -> None:
        if self.handle is None:
            super().write(data)
        else:
            self.handle.send(data)
            self.flush()

    def flush(self) -> None:
        assert self.handle is not None
        super().write(received(self.handle, True))

    def dataReceived(self, data: bytes) -> None:
        handle = self.handle
        assert handle is not None
        handle.bio_write(data)
        if not self.shaken:
            try:
                handle.do_handshake()
            except SSL.WantReadError:
                self.flush()
                return
            except SSL.Error:
                self.server.connectionLost(Failure())
                return
            self.shaken = True
            self.flush()
            self.server.handshakeCompleted()
        if data := received(handle, False):
            self.server.dataReceived(data)


class Client:
    """
    One connection.
    """

    def __init__(self, w: World, context: SSL.Context | None = None) -> None:
        address = IPv4Address("TCP", STRANGER, 4711)
        self.server: SMTPServer = w.factory.buildProtocol(address)
        self.transport = TLSTransport(self.server)
        if context is None:
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.context = context
        self.handle: SSL.Connection | None = None
        self.server.makeConnection(self.transport)

    def plain(self, data: bytes) -> bytes:
        """
        Send something as it is.
        """
        self.server.dataReceived(data)
        return self.heard()

    def begin(self) -> None:
        """
        All that comes before the handshake.
        """
        self.plain(b"EHLO client.example\r\n")
        self.plain(b"STARTTLS\r\n")

    def heard(self) -> bytes:
        out: bytes = self.transport.value()
        self.transport.clear()
        return out

    def shake(self, session: SSL.Session | None = None) -> None:
        """
        The handshake.
        """
        self.handle = handle = SSL.Connection(self.context, None)
        if session is not None:
            handle.set_session(session)
        handle.set_connect_state()
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                handle.do_handshake()
            if out := received(handle, True):
                self.transport.dataReceived(out)
            if heard := self.heard():
                handle.bio_write(heard)

    def say(self, data: bytes) -> bytes:
        """
        Send something encrypted.
        """
        assert self.handle is not None
        if data:
            self.handle.send(data)
            self.transport.dataReceived(received(self.handle, True))
        if heard := self.heard():
            self.handle.bio_write(heard)
        return received(self.handle, False)

    def lose(self) -> None:
        self.server.connectionLost(Failure(ConnectionLost()))


AUTHORITY = Authority()


def files(host: str = "mx.example.org") -> tuple[Path, str]:
    """
    @return: a folder, and in it a file with key and certificate.
    """
    folder = Path(tempfile.mkdtemp(dir="."))
    return folder, write(folder / "chain.pem", *AUTHORITY.make(host))


def secure_world(**values: str) -> World:
    values.setdefault("smtpd_tls_security_level", "may")
    values.setdefault("smtpd_tls_chain_files", files()[1])
    values.setdefault("smtpd_tls_loglevel", "1")
    return world(**values)
