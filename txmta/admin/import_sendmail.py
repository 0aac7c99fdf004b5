"""
C{txmta import-sendmail DIRECTORY}: a Sendmail configuration as main.cf and tables.

Owns: the words of the command; which files are read, in which order; writing.
Knows nothing of: what any line means.

Nothing is overwritten: if any of the files exists, none is written.

Sources: Sendmail's cf/README.

Errors: one line on standard error, exit status 1. Status 2: some line could not be
carried over; the report says which and why.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from txmta.admin import import_sendmail_read as read
from txmta.admin import import_sendmail_tables as tables
from txmta.admin.common import Fatal, Tool
from txmta.admin.import_sendmail_access import Access, relay_domain
from txmta.admin.import_sendmail_finish import finish, texts
from txmta.admin.import_sendmail_m4 import MAX_FILE as MAX_MC
from txmta.admin.import_sendmail_m4 import calls
from txmta.admin.import_sendmail_mailertable import mailertable
from txmta.admin.import_sendmail_mc import Macros
from txmta.admin.import_sendmail_plan import Plan, Result, Source, is_host
from txmta.admin.import_sendmail_report import as_json, as_table

EX_USAGE = 64

#: Octets of one file. Ours.
MAX_FILE = 20_000_000

#: Names of a folder that are looked at.
_MAX_NAMES = 1_000

_TABLES = ("access", "mailertable", "virtusertable", "genericstable", "domaintable")
_LISTS = (
    *("local-host-names", "relay-domains", "virtuser-domains", "generics-domains"),
    "trusted-users",
)

_UNREAD = {
    "sendmail.cf": "it is made from sendmail.mc",
    "submit.cf": "programs hand mail in through maildrop: nothing is needed",
    "submit.mc": "programs hand mail in through maildrop: nothing is needed",
    "authinfo": "it has passwords: write smtp_sasl_password_maps by hand",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """
        Not argparse's status 2, which means something here.
        """
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """
    @return: the arguments.
    """
    parser = _Parser(
        prog="txmta import-sendmail",
        description="Make main.cf and tables from a Sendmail configuration, and tell "
        "what became of each line.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", help="with access, mailertable, sendmail.mc ...")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="write main.cf and the tables there; without, only tell",
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    given = parser().parse_args(arguments)
    tool = Tool("txmta import-sendmail", "", 1)
    plan = Plan()
    status = tool.run(lambda: _run(plan, given))
    if status:
        return 1
    return 2 if any(line.result is Result.LOST for line in plan.lines) else 0


def _run(plan: Plan, given: argparse.Namespace) -> None:
    files = take(plan, given.directory)
    if given.output is not None:
        write(given.output, files)
    form = as_json if given.json else as_table
    for text in form(plan.lines, given.output, files):
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def take(plan: Plan, directory: str) -> Mapping[str, str]:
    """
    Read everything.

    @return: texts of files, by name.
    @raise Fatal: this is no Sendmail configuration.
    """
    names = _names(directory)
    if not names & {*_TABLES, *_LISTS, "aliases", "sendmail.mc"}:
        raise Fatal(f"{directory}: none of Sendmail's files is here")

    def text_of(name: str, limit: int = MAX_FILE) -> str:
        if name not in names:
            if f"{name}.db" in names:
                plan.unread(f"{name}.db", f"write its text: makemap -u hash {name}.db")
            return ""
        try:
            return _text(os.path.join(directory, name), limit)
        except OSError as e:
            plan.unread(name, f"{e.strerror or e}")
            return ""

    macros = Macros(plan)
    plan.facts.has_mc = "sendmail.mc" in names
    _lists(plan, text_of)
    macros.take(calls(text_of("sendmail.mc", MAX_MC)))
    if isinstance(name := plan.values.get("myhostname"), str):
        plan.facts.local.append(name.lower())
    entries = {name: list(read.table(plan, name, text_of(name))) for name in _TABLES}
    Access(plan).take(entries["access"])
    mailertable(plan, entries["mailertable"])
    tables.virtusertable(plan, entries["virtusertable"])
    tables.genericstable(plan, entries["genericstable"])
    tables.domaintable(plan, entries["domaintable"])
    read.aliases(plan, "aliases", text_of("aliases"))
    _others(plan, names)
    finish(plan, macros)
    files = list(dict.fromkeys(line.source.file for line in plan.lines))
    plan.lines.sort(key=lambda each: (files.index(each.source.file), each.source.line))
    return texts(plan, directory)


def _lists(plan: Plan, text_of: Callable[[str], str]) -> None:
    facts = plan.facts
    into = {
        "local-host-names": (facts.local, "mydestination"),
        "virtuser-domains": (facts.virtual, "virtual_alias_domains"),
        "generics-domains": (facts.generics, "sender_canonical"),
    }
    for name in _LISTS:
        for source in read.words(plan, name, text_of(name)):
            if name == "trusted-users":
                plan.carried(source, "nothing to do: everybody may name a sender")
            elif name == "relay-domains":
                relay_domain(plan, source)
            else:
                _name(plan, source, *into[name])


def _name(plan: Plan, source: Source, to: list[str], target: str) -> None:
    word = source.key.lower().rstrip(".")
    if word.startswith("[") and target == "mydestination":
        plan.carried(source, "inet_interfaces, proxy_interfaces: addresses of ours")
    elif not is_host(word):
        plan.lost(source, f"{source.key} is no domain")
    else:
        to.append(word)
        plan.carried(source, target)


def _others(plan: Plan, names: set[str]) -> None:
    known = {*_TABLES, *_LISTS, "aliases", "sendmail.mc"}
    for name in sorted(names - known):
        if name.removesuffix(".db") in known:
            continue
        plan.unread(name, _UNREAD.get(name, "no file of Sendmail's that is known"))


def _names(directory: str) -> set[str]:
    try:
        with os.scandir(directory) as entries:
            found = [
                entry.name
                for entry, _ in zip(entries, range(_MAX_NAMES + 1), strict=False)
            ]
    except OSError as e:
        raise Fatal(f"{directory}: {e.strerror}") from e
    if len(found) > _MAX_NAMES:
        raise Fatal(
            f"{directory}: more than {_MAX_NAMES} files: name Sendmail's folder"
        )
    return set(found)


def _text(path: str, limit: int) -> str:
    # O_NONBLOCK: the open of a FIFO must not hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    # Before the file object is made, which fails on a directory, and leaves it
    # open.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        octets = file.read(limit + 1)
    if len(octets) > limit:
        raise OSError(f"it is larger than {limit} octets")
    return octets.decode("utf-8", "surrogateescape")


def write(folder: str, files: Mapping[str, str]) -> None:
    """
    All files, or none.

    @raise Fatal: one exists, or cannot be written.
    """
    for name in files:
        if os.path.lexists(os.path.join(folder, name)):
            raise Fatal(f"{os.path.join(folder, name)} exists: name another --output")
    made: list[str] = []
    try:
        os.makedirs(folder, exist_ok=True)
        for name, text in files.items():
            path = os.path.join(folder, name)
            with open(path, "x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
    except OSError as e:
        for path in made:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise Fatal(f"{e.filename or folder}: {e.strerror}") from e


if __name__ == "__main__":
    sys.exit(main())
