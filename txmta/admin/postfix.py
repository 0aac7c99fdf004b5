"""
C{postfix}: start, stop and look after the mail system.

Owns: the words of the command; how long is waited for what.
Knows nothing of: how a server is recognised (L{txmta.admin.mail_system}), what
    it does.

No Twisted here: C{postfix status} is asked by monitoring.

Sources: Postfix's postfix(1), C{conf/postfix-script}.

Errors: one line each on standard error, exit status 1.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from txmta.admin.mail_system import Command, Refusal
from txmta.errors import ConfigError

#: Where main.cf is, if neither C{-c} nor MAIL_CONFIG says so.
DEFAULT_DIRECTORY = "/etc/txmta"

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
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        name = f"txmta-start-{secrets.token_hex(8)}"
        told.bind(f"\0{name}")
        ended = subprocess.run(
            command.twistd("--syslog", "--prefix=txmta"),
            env={**os.environ, "NOTIFY_SOCKET": f"@{name}"},
            check=False,
        )
        if ended.returncode != 0:
            raise Refusal("mail system startup failed: the lines above say why")
        _wait_until_ready(command, told)
    return 0


def _wait_until_ready(command: Command, told: socket.socket) -> None:
    """
    @param told: gets what the server tells a service manager (sd_notify(3)).
    """
    told.settimeout(0.2)
    start = last = time.monotonic()
    while True:
        try:
            if b"READY=1" in told.recv(4096):
                return
        except TimeoutError:
            pass
        now = time.monotonic()
        if command.pid() <= 0:
            raise Refusal("mail system startup failed: the mail log says why")
        if now - start >= PATIENCE:
            raise Refusal("the mail system is not ready: the mail log says why")
        if now - last >= PROGRESS:
            last = now
            command.say(f"waiting for its processes, {now - start:.0f} s")


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
