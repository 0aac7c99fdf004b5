"""
The mail system that an administrator's command is about: where its
configuration is, and whether a server runs on its queue.

Owns: how a server is recognised (the lock that it holds), asked (signals) and
    started (through twistd).
Knows nothing of: what the server does, which commands there are.

Sources: Postfix's C{conf/postfix-script}.

Errors: L{Refusal}, and L{ConfigError<txmta.errors.ConfigError>} of main.cf.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
from dataclasses import dataclass

from txmta.config.main_cf import BadLines, read_main_cf
from txmta.config.settings import Definition, Settings
from txmta.config.system import this_machine

#: The lock of the server, in queue_directory (txmta.master.lock).
LOCK = "master.lock"


class Refusal(Exception):
    """
    The command cannot do what it was asked for; the text says why.
    """


@dataclass(frozen=True)
class Command:
    """
    What was asked for.

    @ivar folder: of main.cf.
    @ivar debug: C{-D}.
    @ivar verbose: C{-v}.
    """

    folder: str
    debug: bool
    verbose: bool

    @property
    def main_cf(self) -> str:
        return os.path.join(self.folder, "main.cf")

    def say(self, text: str) -> None:
        """
        Tell the administrator.
        """
        print(f"postfix/postfix-script: {text}", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """
        Tell who wants to hear more.
        """
        if self.verbose:
            self.say(text)

    def settings(self) -> Settings:
        """
        @raise ConfigError: main.cf cannot be read.
        """
        try:
            definitions = dict(read_main_cf(self.main_cf).definitions)
        except BadLines as e:
            # A bad line elsewhere must not keep anybody from stopping.
            definitions = dict(e.main_cf.definitions)
        definitions["config_directory"] = Definition(self.folder, self.main_cf)
        settings, _wrong = Settings.collect(definitions, this_machine())
        return settings

    def pid(self) -> int:
        """
        @return: the process that runs on the queue; 0: none.
        """
        path = os.path.join(self.settings().queue_directory, LOCK)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        except OSError as e:
            raise Refusal(
                f"{path}: {e.strerror}: be root, or who owns the queue"
            ) from e
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            match = re.match(rb"\d+", os.pread(fd, 20, 0))
            return int(match[0]) if match else -1
        finally:
            os.close(fd)
        return 0

    def running(self) -> int:
        """
        @return: its process.
        @raise Refusal: there is none.
        """
        pid = self.pid()
        self.detail(f"lock of the queue: held by {pid}" if pid else "nobody has it")
        if pid <= 0:
            raise Refusal("the txmta mail system is not running")
        return pid

    def signal(self, number: int) -> int:
        """
        @return: the process that got it.
        """
        pid = self.running()
        self.detail(f"{signal.Signals(number).name} for process {pid}")
        try:
            os.kill(pid, number)
        except PermissionError as e:
            raise Refusal(f"process {pid} belongs to somebody else: be root") from e
        except ProcessLookupError:
            pass  # it has just ended
        return pid

    def twistd(self, *options: str) -> list[str]:
        """
        @return: how to start the server.
        """
        run = "from twisted.scripts.twistd import run; run()"
        server = ["txmta", "--config", self.main_cf]
        command = [sys.executable, "-c", run, "--pidfile=", *options, *server]
        self.detail(" ".join(command))
        return command
