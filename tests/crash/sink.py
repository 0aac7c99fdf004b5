"""
The next hop: a small SMTP or LMTP server that keeps what it has acknowledged.

Owns: its side of the dialogue, refusals that are asked for.
Knows nothing of: who sends, and what is expected.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Sequence

from tests.crash.mails import Arrivals


class _SinkSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Sink)
        recipients: list[str] = []
        self._say(b"220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT" and server.rejects(line):
                self._say(b"550 5.1.1 not here")
            elif verb == b"RCPT" and not server.lmtp and server.refuses(line):
                self._say(b"450 later")
            elif verb == b"RCPT":
                recipients.append(line.decode().partition("<")[2].partition(">")[0])
                self._say(b"250 ok")
            elif verb == b"DATA":
                self._say(b"354 go on")
                octets = self._content()
                if octets is None:
                    return
                self._take(server, recipients, octets)
                recipients = []
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

    def _take(self, server: Sink, recipients: Sequence[str], octets: bytes) -> None:
        for recipient in recipients:
            if server.lmtp and server.refuses(recipient.encode()):
                self._say(b"450 4.2.0 later")
                continue
            server.arrivals.add(recipient, octets)
            if server.lmtp:
                self._say(b"250 2.0.0 taken")
        if not server.lmtp:
            self._say(b"250 taken")

    def _content(self) -> bytes | None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return None
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _say(self, reply: bytes) -> None:
        self.wfile.write(reply + b"\r\n")


class Sink(socketserver.ThreadingTCPServer):
    """
    The next hop: what it has acknowledged is delivered.

    @ivar lmtp: it speaks LMTP: refusals come after the content, one answer
        for each recipient.
    @ivar refusals: so many recipients it refuses for now.
    @ivar refused: this recipient it always refuses for now.
    """

    daemon_threads = True
    allow_reuse_address = True
    # As many as a server opens at once; with the default of 5 some would hang.
    request_queue_size = 128

    def __init__(self, lmtp: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _SinkSession)
        self.lmtp = lmtp
        self.arrivals = Arrivals()
        self.refusals = 0
        self.refused = ""
        self._lock = threading.Lock()
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @staticmethod
    def rejects(command: bytes) -> bool:
        """
        @return: whether the recipient of this command is refused for good.
        """
        return b"<no@" in command or b"<no-" in command

    def refuses(self, command: bytes) -> bool:
        """
        @return: whether the recipient of this command is refused.
        """
        if self.refused and self.refused.encode() in command:
            return True
        with self._lock:
            self.refusals -= 1
            return self.refusals >= 0

    def handle_error(self, request: object, client_address: object) -> None:
        """
        Peers that are killed are what this is for.
        """

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
