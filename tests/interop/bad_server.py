"""
An SMTP server that misbehaves by script: one address, one misbehaviour.

Owns: listening on as many addresses of 127.0.0.0/8 as there are scripts, all
    at one port; what a script can do.
Knows nothing of: what a client should make of it.

A script says for each command what is answered, where that differs from a
friendly server: octets, or something worse. C{""} stands for the greeting,
C{"."} for the end of the content. Several answers in a tuple are for the
first, second, ... command of that name on one connection; what comes after
them is friendly.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence

#: Seconds after which a connection is given up, whatever its script says.
PATIENCE = 20.0

EHLO = b"250-bad\r\n250-PIPELINING\r\n250-SIZE 9000000\r\n250 8BITMIME\r\n"

#: The answers of a server that always agrees.
FRIENDLY: Mapping[str, bytes] = {
    "": b"220 bad ESMTP\r\n",
    "EHLO": EHLO,
    "HELO": b"250 bad\r\n",
    "LHLO": EHLO,
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 go\r\n",
    ".": b"250 2.0.0 Ok: queued as X\r\n",
    "RSET": b"250 2.0.0 ok\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}


class Over(Exception):
    """
    The script has nothing more to say.
    """


class Dialogue:
    """
    One connection.
    """

    def __init__(self, connection: socket.socket, contents: list[bytes]) -> None:
        """
        @param contents: gets each message that has come with its final dot.
        """
        self._connection = connection
        self._contents = contents
        self._lines = connection.makefile("rb")
        self._seen: dict[str, int] = {}
        self._last = b""

    def play(self, script: Script) -> None:
        command = ""
        while True:
            self.answer(self._choose(script, command))
            if command == "DATA" and self._last[:1] == b"3":
                self.content()
                command = "."
            else:
                command = self.line()[:4].decode("latin-1").strip().upper()

    def say(self, octets: bytes) -> None:
        self._last = octets
        self._connection.sendall(octets)

    def line(self) -> bytes:
        line = self._lines.readline()
        if not line:
            raise Over
        return line

    def content(self) -> None:
        lines = []
        while (line := self.line()) != b".\r\n":
            lines.append(line)
        self._contents.append(b"".join(lines))

    def content_slowly(self, pause: float) -> None:
        """
        Read 64 KiB at most after each pause.
        """
        octets = b""
        # Postfix sends QUIT in the same breath.
        while b"\r\n.\r\n" not in octets[-100:]:
            time.sleep(pause)
            octets += self._connection.recv(65536)
        self._contents.append(octets)

    def drain(self) -> None:
        """
        Read whatever comes, until the client hangs up.
        """
        while self._lines.read(65536):
            pass

    def hang_up(self) -> None:
        """
        Say no more, and read the rest: who closes with octets unread sends a
        reset, which may overtake what was said.
        """
        self._connection.shutdown(socket.SHUT_WR)
        self.drain()
        raise Over

    def reset(self) -> None:
        self._connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._lines.close()
        self._connection.close()
        raise Over

    def shrink(self) -> None:
        """
        As small a buffer as there is, so that the client soon notices who
        reads.
        """
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def answer(self, step: Step) -> None:
        self._last = b""
        if isinstance(step, bytes):
            self.say(step)
        else:
            step(self)

    def _choose(self, script: Script, command: str) -> Step:
        count = self._seen[command] = self._seen.get(command, 0) + 1
        friendly = FRIENDLY.get(command, b"502 5.5.1 what?\r\n")
        steps = script.get(command, friendly)
        if not isinstance(steps, tuple):
            return steps
        return steps[count - 1] if count <= len(steps) else friendly


#: What is done when a command has come.
Step = bytes | Callable[[Dialogue], None]

#: See the top of this module.
Script = Mapping[str, Step | tuple[Step, ...]]


def hang_up(dialogue: Dialogue) -> None:
    dialogue.hang_up()


def reset(dialogue: Dialogue) -> None:
    dialogue.reset()


def reset_later(dialogue: Dialogue) -> None:
    """
    When the client has seen for certain that it is connected.
    """
    time.sleep(0.2)
    dialogue.reset()


def silent(dialogue: Dialogue) -> None:
    dialogue.drain()
    raise Over


def nothing(dialogue: Dialogue) -> None:
    """
    No answer, and on with the next command.
    """


def last(octets: bytes) -> Step:
    """
    Say this and hang up.
    """

    def step(dialogue: Dialogue) -> None:
        dialogue.say(octets)
        dialogue.hang_up()

    return step


def then_silent(octets: bytes) -> Step:
    def step(dialogue: Dialogue) -> None:
        dialogue.say(octets)
        silent(dialogue)

    return step


def slowly(octets: bytes, pause: float) -> Step:
    """
    One octet at a time.
    """

    def step(dialogue: Dialogue) -> None:
        for octet in octets:
            dialogue.say(bytes((octet,)))
            time.sleep(pause)

    return step


def flood(octets: bytes, end: bytes = b"") -> Step:
    """
    The same over and over, some megabytes, then C{end}, then the end: a
    client without a limit of its own would otherwise stay for ever.
    """

    def step(dialogue: Dialogue) -> None:
        for _ in range(64):
            dialogue.say(octets * (65536 // len(octets)))
        dialogue.say(end)
        dialogue.hang_up()

    return step


def stalled(octets: int) -> Step:
    """
    Ask for content, read that much of it, and no more.
    """

    def step(dialogue: Dialogue) -> None:
        dialogue.shrink()
        dialogue.say(b"354 go\r\n")
        for _ in range(octets // 72):
            dialogue.line()
        time.sleep(PATIENCE)
        raise Over

    return step


def interrupts(octets: bytes, after: Step) -> Step:
    """
    Ask for content, and answer before its end.
    """

    def step(dialogue: Dialogue) -> None:
        dialogue.say(b"354 go\r\n")
        for _ in range(100):
            dialogue.line()
        dialogue.say(octets)
        dialogue.answer(after)

    return step


def unhurried(pause: float) -> Step:
    """
    Ask for content, and take it slowly.
    """

    def step(dialogue: Dialogue) -> None:
        dialogue.say(b"354 go\r\n")
        dialogue.content_slowly(pause)
        dialogue.say(FRIENDLY["."])

    return step


class CutShort(Dialogue):
    """
    Says a number of octets in all, and hangs up in the middle of a word.
    """

    def __init__(
        self, connection: socket.socket, contents: list[bytes], left: int
    ) -> None:
        super().__init__(connection, contents)
        self._left = left

    def say(self, octets: bytes) -> None:
        said, self._left = octets[: self._left], self._left - len(octets)
        super().say(said)
        if self._left <= 0:
            self.hang_up()


class BadServer:
    """
    @ivar port: of all addresses.
    @ivar addresses: of each script, in order: 127.1.0.1 and so on.
    @ivar contents: what has come to each address.
    """

    def __init__(self, scripts: Sequence[Script], cuts: Sequence[int | None]) -> None:
        """
        @param cuts: for each script: after how many octets the connection is
            cut, if at all.
        """
        self.addresses = [
            f"127.1.{n // 250}.{n % 250 + 1}" for n in range(len(scripts))
        ]
        self.contents: dict[str, list[bytes]] = {a: [] for a in self.addresses}
        self._selector = selectors.DefaultSelector()
        self._stopped = False
        self.port = 0
        for address, script, cut in zip(self.addresses, scripts, cuts, strict=True):
            listener = socket.create_server((address, self.port), backlog=64)
            self.port = listener.getsockname()[1]
            self._selector.register(
                listener, selectors.EVENT_READ, (self.contents[address], script, cut)
            )
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._thread.join(PATIENCE)
        for key in list(self._selector.get_map().values()):
            listener = key.fileobj
            assert isinstance(listener, socket.socket)
            listener.close()
        self._selector.close()

    def _accept(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select(0.1):
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                connection, _ = listener.accept()
                threading.Thread(
                    target=self._serve, args=(connection, *key.data), daemon=True
                ).start()

    def _serve(
        self,
        connection: socket.socket,
        contents: list[bytes],
        script: Script,
        cut: int | None,
    ) -> None:
        connection.settimeout(PATIENCE)
        with connection, contextlib.suppress(OSError, Over):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if cut is None:
                Dialogue(connection, contents).play(script)
            else:
                CutShort(connection, contents, cut).play(script)
