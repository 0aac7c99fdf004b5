"""
The next hop: a small SMTP server that keeps what it has acknowledged.

Owns: its side of the dialogue, refusals that are asked for.
Knows nothing of: who sends, and what is expected.
"""

from __future__ import annotations

import socketserver
import threading

from tests.crash.mails import Arrivals


class _SinkSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Sink)
        recipients: list[str] = []
        self._say(b"220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT" and server.refuses(line):
                self._say(b"450 later")
            elif verb == b"RCPT":
                recipients.append(line.decode().partition("<")[2].partition(">")[0])
                self._say(b"250 ok")
            elif verb == b"DATA":
                self._say(b"354 go on")
                octets = self._content()
                if octets is None:
                    return
                for recipient in recipients:
                    server.arrivals.add(recipient, octets)
                recipients = []
                self._say(b"250 taken")
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return
            else:
                self._say(b"250 ok")

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

    @ivar refusals: so many recipients it refuses for now.
    @ivar refused: this recipient it always refuses for now.
    """

    daemon_threads = True
    allow_reuse_address = True
    # As many as a server opens at once; with the default of 5 some would hang.
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SinkSession)
        self.arrivals = Arrivals()
        self.refusals = 0
        self.refused = ""
        self._lock = threading.Lock()
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

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
