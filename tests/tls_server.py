"""
An SMTP server with STARTTLS for tests, of Python's own library.
"""

from __future__ import annotations

import socket
import ssl
import threading


class TlsServer:
    """
    Listens at 127.0.0.1.

    @ivar lines: what clients said, with C{TLS } before what was said in TLS.
    @ivar resumed: for each handshake, whether it resumed a session.
    @ivar names: which were asked for, by SNI.
    @ivar kind: C{"starttls"}, C{"wrapper"}, C{"plain"}, C{"refuses"} (STARTTLS is
        refused), C{"breaks"} (there is no handshake), C{"injects"} (a reply comes
        with the 220).
    """

    def __init__(
        self, certificate: str = "", key: str = "", kind: str = "starttls"
    ) -> None:
        self.kind = kind
        self.lines: list[str] = []
        self.resumed: list[bool] = []
        self.names: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate:
            self._context.load_cert_chain(certificate, key or certificate)
        self._context.sni_callback = self._asked
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept() is woken so.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _asked(self, connection: object, name: str | None, context: object) -> None:
        self.names.append(name or "")

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(20)
        try:
            if self.kind == "wrapper":
                client = self._secure(client)
            self._talk(client)
        except (OSError, ValueError):
            pass
        finally:
            client.close()

    def _secure(self, client: socket.socket) -> ssl.SSLSocket:
        made = self._context.wrap_socket(client, server_side=True)
        self.resumed.append(bool(made.session_reused))
        return made

    def _talk(self, client: socket.socket) -> None:
        client.sendall(b"220 sink ESMTP\r\n")
        file = client.makefile("rb")
        while line := file.readline():
            inside = isinstance(client, ssl.SSLSocket)
            said = line.decode().strip()
            self.lines.append(f"TLS {said}" if inside else said)
            verb = line[:4].upper().strip()
            if verb == b"EHLO" or verb == b"LHLO":
                offer = not inside and self.kind != "plain"
                client.sendall(b"250-sink\r\n")
                client.sendall(b"250 STARTTLS\r\n" if offer else b"250 8BITMIME\r\n")
            elif verb == b"STAR":
                if self.kind == "refuses":
                    client.sendall(b"454 4.7.0 no TLS now\r\n")
                    continue
                if self.kind == "injects":
                    client.sendall(b"220 go\r\n250-sink\r\n250 AUTH PLAIN\r\n")
                else:
                    client.sendall(b"220 go\r\n")
                if self.kind == "breaks":
                    return
                client = self._secure(client)
                file = client.makefile("rb")
            elif verb == b"DATA":
                client.sendall(b"354 go\r\n")
                while file.readline() not in (b".\r\n", b""):
                    pass
                client.sendall(b"250 2.0.0 Ok: queued as SINK\r\n")
            elif verb == b"QUIT":
                client.sendall(b"221 2.0.0 bye\r\n")
                return
            else:
                client.sendall(b"250 2.0.0 Ok\r\n")
