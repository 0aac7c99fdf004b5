"""
C{txmta init DIR}: a first configuration, which encrypts from the first minute.

Owns: which files are made, whose they are.
Knows nothing of: what is in main.cf and master.cf (L{txmta.admin.init_files}).

Nothing is ever written over.

Errors: one line each on standard error, exit status 1; 64, the command is wrong.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pwd
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from txmta.admin.common import write
from txmta.admin.init_files import ACCOUNTS, ALIASES, Plan, main_cf, master_cf
from txmta.admin.self_signed import make_self_signed

EX_USAGE = 64

_DESCRIPTION = """\
Write main.cf and master.cf, with comments; a key with a certificate that it signs
itself; a file for accounts, and one for aliases. Whoever runs it without
being root gets a server on ports from 1024 up that one account can run.
"""

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")

#: What is made, and the modes.
FILES = {
    "main.cf": 0o644,
    "master.cf": 0o644,
    "aliases": 0o644,
    "accounts": 0o600,
    "certificate.pem": 0o644,
    "key.pem": 0o600,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: fatal: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    hostname = options.hostname or _this_host()
    if not _HOSTNAME.fullmatch(hostname):
        parser.error(
            f"{hostname}: is no full host name: write --hostname mail.example.com"
        )
    folder = Path(os.path.abspath(options.folder))
    try:
        owner = _owner(options.owner)
        plan = Plan(
            hostname,
            owner.pw_name,
            owner.pw_uid,
            owner.pw_gid,
            standard=os.geteuid() == 0 and not options.unprivileged,
        )
        _make(folder, plan)
    except FileExistsError as e:
        return _fatal(f"{e.filename}: is there already; nothing is written over")
    except OSError as e:
        return _fatal(f"{e.filename or folder}: {e.strerror}")
    except KeyError:
        return _fatal(f"{options.owner}: no such account: name one with --owner")
    write(_told(folder, plan))
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="txmta init", description=_DESCRIPTION)
    parser.add_argument("--hostname", metavar="NAME", help="default: this machine's")
    parser.add_argument(
        "--owner", metavar="USER", help="who runs it, when root starts it"
    )
    parser.add_argument(
        "--unprivileged",
        action="store_true",
        help="for root: high ports and one account, as for everybody else",
    )
    parser.add_argument("folder", metavar="DIR")
    return parser


def _fatal(text: str) -> int:
    print(f"txmta init: fatal: {text}", file=sys.stderr)
    return 1


def _this_host() -> str:
    name = socket.gethostname()
    return name if "." in name else f"{name}.localdomain"


def _owner(name: str | None) -> pwd.struct_passwd:
    """
    @raise KeyError: there is no such account.
    """
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    if name:
        return pwd.getpwnam(name)
    for each in ("txmta", "postfix"):
        try:
            return pwd.getpwnam(each)
        except KeyError:
            pass
    return pwd.getpwnam("nobody")


def _make(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if os.path.lexists(folder / name):
            raise FileExistsError(17, "File exists", str(folder / name))
    texts = {
        "aliases": ALIASES,
        "accounts": ACCOUNTS,
        "master.cf": master_cf(plan),
        "main.cf": main_cf(plan),
    }
    now = datetime.datetime.now(datetime.UTC)
    make_self_signed(plan.hostname, folder / "certificate.pem", folder / "key.pem", now)
    for name, text in texts.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(folder / name, flags, FILES[name]), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), FILES[name])
    if os.geteuid() == 0:
        for name in ("accounts", "key.pem"):
            os.chown(folder / name, plan.uid, plan.gid)
        if not plan.standard:
            # Queue and mail are made in it.
            folder.chmod(0o755)
            os.chown(folder, plan.uid, plan.gid)


def _told(folder: Path, plan: Plan) -> str:
    ports = ", ".join(f"{port} ({what})" for port, what in plan.ports)
    return (
        f"{folder}: made {', '.join(FILES)}\n"
        f"It will listen on {ports}. Add who may log in:\n"
        f"  txmta passwd -c {folder} add user@{plan.domain}\n"
        f"start it:\n"
        f"  postfix -c {folder} start\n"
    )


if __name__ == "__main__":
    sys.exit(main())
