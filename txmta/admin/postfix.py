"""
C{postfix}: start, stop and look after the mail system.

Owns: the words of the command, and whether a server runs on the queue.
Knows nothing of: what the server does; it is started through twistd, asked by
    signals, and recognised by the lock that it holds.

No Twisted here: C{postfix status} is asked by monitoring.

Sources: Postfix's postfix(1), C{conf/postfix-script}.

Errors: one line each on standard error, exit status 1.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from txmta.config.main_cf import BadLines, read_main_cf
from txmta.config.settings import Definition, Settings
from txmta.config.system import this_machine
from txmta.errors import ConfigError

#: Where main.cf is, if neither C{-c} nor MAIL_CONFIG says so.
DEFAULT_DIRECTORY = "/etc/txmta"

#: The lock of the server, in queue_directory (txmta.master.lock).
LOCK = "master.lock"

#: Seconds that sessions and deliveries get to end before C{stop} uses force.
PATIENCE = 60.0

#: Seconds between two lines that say that we wait.
PROGRESS = 5.0

#: What Postfix's command can do and ours need not.
REFUSED = {
    "set-permissions": "owners and modes are set right at each start, and told by "
    '"postfix check"',
    "upgrade-configuration": "there is nothing to upgrade yet",
    "post-install": "there is nothing to install: use pip",
    "tls": 'write the parameters with "postconf -e" or an editor',
    "tls-script": 'write the parameters with "postconf -e" or an editor',
    "logrotate": "rename maillog_file, for example with logrotate(8): a new one is "
    "begun by itself",
}


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

    def queue_directory(self) -> str:
        """
        @raise ConfigError: main.cf does not say.
        """
        try:
            definitions = dict(read_main_cf(self.main_cf).definitions)
        except BadLines as e:
            # A bad line elsewhere must not keep anybody from stopping.
            definitions = dict(e.main_cf.definitions)
        definitions["config_directory"] = Definition(self.folder, self.main_cf)
        settings, _wrong = Settings.collect(definitions, this_machine())
        return settings.queue_directory

    def pid(self) -> int:
        """
        @return: the process that runs on the queue; 0: none.
        """
        path = os.path.join(self.queue_directory(), LOCK)
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


def start(command: Command) -> int:
    """
    Start in the background.
    """
    _only_one(command)
    if command.debug:
        # Python's debugger wants a terminal.
        os.execv(sys.executable, command.twistd("--debug"))
    # Postfix's script looks first, too; and a daemon cannot say much.
    if check(command):
        raise Refusal("mail system startup failed: mend the lines above")
    command.say("starting the txmta mail system")
    ended = subprocess.run(command.twistd("--syslog", "--prefix=txmta"), check=False)
    if ended.returncode != 0 or command.pid() <= 0:
        raise Refusal("mail system startup failed: the lines above say why")
    return 0


def start_fg(command: Command) -> int:
    """
    Become the server.
    """
    _only_one(command)
    os.execv(sys.executable, command.twistd("--nodaemon"))


def _only_one(command: Command) -> None:
    pid = command.pid()
    if pid:
        raise Refusal(f"the txmta mail system is already running: PID: {pid}")


def stop(command: Command) -> int:
    """
    Let sessions and deliveries end, then the server.
    """
    command.running()
    command.say("stopping the txmta mail system")
    command.signal(signal.SIGTERM)
    if not _wait_for_end(command, PATIENCE):
        command.say("stopping the txmta mail system with force")
        abort(command)
    return 0


def abort(command: Command) -> int:
    """
    End it at once: what is under way is repeated after the next start.
    """
    command.running()
    command.say("aborting the txmta mail system")
    command.signal(signal.SIGKILL)
    if not _wait_for_end(command, PROGRESS):
        raise Refusal("a process of the txmta mail system does not end")
    return 0


def _wait_for_end(command: Command, seconds: float) -> bool:
    start = told = time.monotonic()
    while command.pid():
        now = time.monotonic()
        if now - start >= seconds:
            return False
        if now - told >= PROGRESS:
            told = now
            command.say(f"waiting for sessions and deliveries, {now - start:.0f} s")
        time.sleep(0.05)
    return True


def reload(command: Command) -> int:
    """
    Read the configuration again, if it is good.
    """
    command.running()
    if check_files(command):
        raise Refusal("the configuration stays as it is: mend the lines above")
    command.say("refreshing the txmta mail system")
    command.signal(signal.SIGHUP)
    return 0


def check_files(command: Command) -> int:
    """
    @return: exit status.
    """
    return _check(command, "--files")


def check(command: Command) -> int:
    """
    Say all that would stop a start.
    """
    return _check(command)


def _check(command: Command, *options: str) -> int:
    words = [sys.executable, "-m", "txmta.check", *options, command.main_cf]
    command.detail(" ".join(words))
    ended = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    for line in ended.stderr.splitlines():
        command.say(line)
    return ended.returncode


def status(command: Command) -> int:
    """
    Say whether it runs.
    """
    command.say(f"the txmta mail system is running: PID: {command.running()}")
    return 0


def flush(command: Command) -> int:
    """
    Try all deferred mail now.
    """
    command.running()
    words = [sys.executable, "-m", "txmta.admin.postqueue", "-c", command.folder, "-f"]
    command.detail(" ".join(words))
    return subprocess.run(words, check=False).returncode


COMMANDS: Mapping[str, Callable[[Command], int]] = {
    "start": start,
    "start-fg": start_fg,
    "stop": stop,
    "reload": reload,
    "abort": abort,
    "flush": flush,
    "check": check,
    "status": status,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = argparse.ArgumentParser(
        prog="postfix", description="Start, stop and look after the mail system."
    )
    default = os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY
    parser.add_argument("-c", dest="folder", default=default, metavar="config_dir")
    parser.add_argument(
        "-D", dest="debug", action="store_true", help="with start: under a debugger"
    )
    parser.add_argument("-v", dest="verbose", action="count", default=0)
    parser.add_argument("command", metavar=" | ".join(COMMANDS))
    options = parser.parse_args(arguments)
    folder = os.path.abspath(options.folder)
    command = Command(folder, options.debug, options.verbose > 0)
    try:
        return _run(command, options.command)
    except Refusal as e:
        command.say(f"fatal: {e}")
    except ConfigError as e:
        for problem in e.problems:
            command.say(f"fatal: {problem}")
    return 1


def _run(command: Command, name: str) -> int:
    if name in REFUSED:
        raise Refusal(f"{name} is not supported: {REFUSED[name]}")
    if name not in COMMANDS:
        known = ", ".join(list(COMMANDS)[1:])
        raise Refusal(f"unknown command: '{name}'. Usage: postfix start (or {known})")
    if command.debug and name != "start":
        raise Refusal("-D goes with start only")
    return COMMANDS[name](command)


if __name__ == "__main__":
    sys.exit(main())
