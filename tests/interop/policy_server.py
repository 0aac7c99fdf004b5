"""
A policy server that answers as the recipient says, and keeps what it is asked.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from tests.interop.listening import serve_each

#: By local part of the recipient; L{None} hangs up.
ANSWERS: Mapping[str, bytes | None] = {
    "reject": b"action=reject\n\n",
    "rejecttext": b"action=REJECT you are bad\n\n",
    "text": b"action=550 5.1.1 no  no\n\n",
    "later": b"action=defer_if_permit Greylisted for 5\n\n",
    "prepend": b"action=PREPEND X-A: b\n\n",
    "ok": b"action=ok\n\n",
    "two": b"action=550 5.1.1 a\naction=dunno\n\n",
    "extra": b"foo=bar\naction=550 5.1.2 hi\nmore=x\n\n",
    "class": b"action=reject_unauth_destination\n\n",
    "word": b"action=zorro\n\n",
    "table": b"action=check_client_access inline:{a=b}\n\n",
    "warn": b"action=WARN hello\n\n",
    "info": b"action=INFO hello\n\n",
    "garbage": b"hello\n\n",
    "empty": b"\n",
    "upper": b"ACTION=550 x\n\n",
    "hangup": None,
}


class PolicyServer:
    """
    @ivar requests: all that came.
    @ivar connections: how many there were.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[str] = []
        self.connections = 0
        serve_each(self._listener, self._serve)

    def close(self) -> None:
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with connection, connection.makefile("rb") as lines:
            request = b""
            for line in lines:
                request += line
                if line != b"\n":
                    continue
                self.requests.append(request.decode())
                found = re.search(rb"^recipient=([^@\n]*)", request, re.MULTILINE)
                assert found is not None
                answer = ANSWERS.get(found[1].decode(), b"action=dunno\n\n")
                request = b""
                if answer is None:
                    return
                connection.sendall(answer)
