"""
C{txmta NAME}: every command of ours by one name.

Owns: which names there are, and where each is.
Knows nothing of: what any command does; none is imported before it is asked
    for.

C{postqueue -p} and C{txmta postqueue -p} are the same; the second does not
meet another mail system's command of that name.

Errors: a name that does not exist, exit status 64 (sysexits.h).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

EX_USAGE = 64

#: Each command: the module whose C{main} it is, and what it does in a few words.
#: One line each, in alphabetical order.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": ("txmta.report.command", "what becomes of a Postfix configuration"),
    "explain": ("txmta.explain.command", "what would become of a message, and why"),
    "import-sendmail": ("txmta.admin.import_sendmail", "main.cf from Sendmail's files"),
    "init": ("txmta.admin.init", "a first configuration, with a certificate"),
    "mailq": ("txmta.admin.mailq", "list the queue"),
    "newaliases": ("txmta.admin.newaliases", "make the alias tables"),
    "passwd": ("txmta.admin.passwd", "accounts for clients that log in"),
    "postalias": ("txmta.admin.postalias", "ask or make a table of aliases"),
    "postcat": ("txmta.admin.postcat", "show a message of the queue"),
    "postconf": ("txmta.admin.postconf", "show or change main.cf and master.cf"),
    "postfix": ("txmta.admin.postfix", "start, stop, reload, check the server"),
    "postmap": ("txmta.admin.postmap", "ask or make a lookup table"),
    "postqueue": ("txmta.admin.postqueue", "list the queue, or try it now"),
    "postsuper": ("txmta.admin.postsuper", "delete, hold, release messages"),
    "posttls-finger": ("txmta.finger", "which TLS a server has"),
    "reference": ("txmta.admin.reference", "what parameters of main.cf are for"),
    "sendmail": ("txmta.admin.sendmail", "hand a message in"),
    "test-policy": ("txmta.explain.policy_test", "ask it cases of a file"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: the name of the command, then its own.
    @return: exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else ""
    if name in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if name not in COMMANDS:
        print(f"txmta: fatal: {_unknown(name)}", file=sys.stderr)
        return EX_USAGE
    module = importlib.import_module(COMMANDS[name][0])
    # Some look at their own name.
    sys.argv = [name, *given[1:]]
    status: int = module.main(given[1:])
    return status


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items())
    return "\n".join(["usage: txmta COMMAND [ARGUMENTS]", "", *lines])


def _unknown(name: str) -> str:
    names = ", ".join(COMMANDS)
    if not name:
        return f"no command: write txmta and one of {names}"
    near = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"write one of {names}"
    return f"unknown command {name}: {hint}"


if __name__ == "__main__":
    sys.exit(main())
