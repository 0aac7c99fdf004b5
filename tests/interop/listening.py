"""
Listeners of servers that play a part, each connection in a thread of its own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


def serve_each(
    listener: socket.socket, serve: Callable[[socket.socket], object]
) -> None:
    """
    Accept in a thread, until C{listener} is closed.

    @param serve: gets each connection, in a thread; that the other side goes
        away without a word is no failure of the test.
    """

    def run(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            serve(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=run, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
