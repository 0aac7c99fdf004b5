"""
A name server for one zone file, and the sinks behind its names.

Run in a network namespace of its own, where port 53 and 25 are free::

    python -m tests.interop.name_server QUERIES MESSAGES

Writes the name and type of each query, and the recipients of each message with
the address that they came to, one line each.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from typing import Any

from twisted.names import dns

from tests.dns.doubles import record, reply

#: Listens on port 25; 127.0.0.3 does not, nor does it exist in AAAA.
ALIVE = ("127.0.0.2", "127.0.0.4")

_MX = {
    "preferred.test": ((20, "four.test"), (10, "two.test")),
    "dead.test": ((10, "three.test"), (20, "four.test")),
    "null.test": ((0, ""),),
}
_A = {
    "two.test": "127.0.0.2",
    "three.test": "127.0.0.3",
    "four.test": "127.0.0.4",
    "plain.test": "127.0.0.4",
}
_SERVFAIL, _NXDOMAIN = 2, 3


def answer(query: bytes) -> tuple[str, bytes]:
    """
    @return: what was asked, and the message to send.
    """
    message = dns.Message()
    message.fromStr(query)
    (question,) = message.queries
    name = question.name.name.decode().lower()
    kind = dns.QUERY_TYPES.get(question.type, str(question.type))
    asked = f"{name} {kind}"
    if name == "broken.test":
        return asked, reply(query, rCode=_SERVFAIL)
    if name not in _MX and name not in _A:
        return asked, reply(query, rCode=_NXDOMAIN)
    records: tuple[Any, ...] = ()
    if kind == "MX":
        found = _MX.get(name, ())
        records = tuple(record(name, dns.Record_MX(p, host)) for p, host in found)
    elif kind == "A" and name in _A:
        records = (record(name, dns.Record_A(_A[name])),)
    return asked, reply(query, records)


def serve_names(path: str) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s,
        open(path, "a", buffering=1) as log,
    ):
        s.bind(("127.0.0.1", 53))
        while True:
            query, peer = s.recvfrom(4096)
            asked, data = answer(query)
            log.write(f"{asked}\n")
            s.sendto(data, peer)


class _Sink(socketserver.StreamRequestHandler):
    messages = ""

    def handle(self) -> None:
        self.wfile.write(b"220 sink ESMTP\r\n")
        recipients: list[str] = []
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            if verb != b"DATA":
                self.wfile.write(b"250 ok\r\n")
                continue
            self.wfile.write(b"354 go on\r\n")
            while self.rfile.readline() not in (b".\r\n", b""):
                pass
            here = self.connection.getsockname()[0]
            with open(self.messages, "a") as f:
                f.write(f"{here} {' '.join(recipients)}\n")
            recipients.clear()
            self.wfile.write(b"250 ok\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(queries: str, messages: str) -> None:
    _Sink.messages = messages
    for address in ALIVE:
        server = _Server((address, 25), _Sink)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    serve_names(queries)


if __name__ == "__main__":
    main(*sys.argv[1:])
