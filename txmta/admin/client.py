"""
Ask the running server, through its sockets in C{public/}.

Owns: one connection for each request; patience; what the lack of a server, or
    of rights, looks like.
Knows nothing of: what is asked.

Sources: unix(7); Postfix C{global/mail_connect.c}.

Errors: L{Down}, when no server runs; L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from txmta.admin.common import (
    EX_NOPERM,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    Fatal,
)
from txmta.queue.public_wire import MAX_LINE, BadAnswer, Request, decode

#: Seconds to wait for some of an answer.
PATIENCE = 60.0

#: Times to try when too many others ask, and seconds between.
TRIES, PAUSE = 10, 0.3


class Down(Exception):
    """
    No server runs. The text says how that shows.
    """


class Busy(Exception):
    """
    Too many others ask.
    """


def ask(queue_directory: str, name: str, request: Request) -> list[dict[str, Any]]:
    """
    @param name: of the socket.
    @return: all lines of the answer.
    @raise Down: there is no server.
    @raise Fatal: it cannot be asked, or refuses.
    """
    for _ in range(TRIES):
        try:
            return list(stream(queue_directory, name, request))
        except Busy:
            time.sleep(PAUSE)
    raise Fatal(f"the {name} service is busy: try again", EX_TEMPFAIL)


def stream(
    queue_directory: str, name: str, request: Request
) -> Iterator[dict[str, Any]]:
    """
    As L{ask}, line by line.

    @raise Busy: try again later.
    """
    with _connected(queue_directory, name) as connection:
        try:
            connection.sendall(request.encode())
            with connection.makefile("rb") as lines:
                while line := lines.readline(MAX_LINE):
                    fields = decode(line)
                    if fields.get("t") == "error":
                        raise _failure(name, fields)
                    yield fields
                    if fields.get("t") == "end":
                        return
        except TimeoutError as e:
            raise Fatal(f"the {name} service does not answer", EX_TEMPFAIL) from e
        except (OSError, BadAnswer) as e:
            raise _malformed(name) from e
    raise _malformed(name)


def _malformed(name: str) -> Fatal:
    return Fatal(f"malformed {name} server response", EX_SOFTWARE)


def _connected(queue_directory: str, name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    try:
        # By its descriptor: a long path does not fit into an address.
        fd = os.open(f"{queue_directory}/public", os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{fd}/{name}")
        finally:
            os.close(fd)
    except OSError as e:
        connection.close()
        what = f"Connect to the Postfix {name} service: {e.strerror or e}"
        if isinstance(e, FileNotFoundError | ConnectionRefusedError):
            raise Down(what) from e
        if isinstance(e, PermissionError):
            what += ": be root, or a member of the group of setgid_group"
        raise Fatal(what, EX_SOFTWARE) from e
    return connection


def _failure(name: str, fields: dict[str, Any]) -> Exception:
    kind, text = fields.get("kind"), str(fields.get("text"))
    if kind == "busy":
        return Busy(text)
    if kind == "refused":
        return Fatal(text, EX_NOPERM)
    if kind == "unavailable":
        return Fatal(text, EX_UNAVAILABLE)
    if kind == "trouble":
        return Fatal(text, EX_TEMPFAIL)
    return Fatal(f"the {name} service does not understand: {text}", EX_SOFTWARE)
