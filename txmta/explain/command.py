"""
C{txmta explain}: what would become of a message, and why.

Exit status: 0; with two configurations, 1 if they differ; 64, the command is wrong.

Owns: options, and where the answer goes.
Knows nothing of: how it is found.

Errors: one line each on standard error, exit status 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from txmta.admin.common import DEFAULT_DIRECTORY, Fatal, write
from txmta.errors import ConfigError
from txmta.explain.answer import Explanation
from txmta.explain.ask import explain_all, explain_with
from txmta.explain.question import Question
from txmta.explain.render import as_text, differences
from txmta.explain.stored import questions

EX_USAGE = 64

_DESCRIPTION = """\
Tell what the SMTP server would answer to a message, and why: each restriction with
its verdict, each table with key and answer, how addresses are rewritten, and
where mail would go. Nothing is sent, stored or counted; DNS and policy servers are
asked as the server would.
"""

_EPILOG = """\
With --config, the same question is put to that main.cf too, and the differences
are shown; exit status 1 if there are any.
"""


class Parser(argparse.ArgumentParser):
    """
    One whose errors are ours.
    """

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: fatal: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = options.folder or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY
    path = os.path.abspath(os.path.join(folder, "main.cf"))
    if options.queue_id:
        return _stored(path, options)
    try:
        question = Question(
            options.client,
            options.helo,
            options.login,
            options.sender,
            options.recipient,
            options.tls,
            options.service,
            options.size,
        )
    except ValueError as e:
        parser.error(str(e))
    try:
        found = explain_with(path, question)
        other = None
        if options.config:
            other = explain_with(os.path.abspath(options.config), question)
    except ConfigError as e:
        for problem in e.problems:
            print(f"txmta explain: fatal: {problem}", file=sys.stderr)
        return 2
    if other is None:
        write(_json(found) if options.json else as_text(found))
        return 0
    return _compare(found, other, options.json)


def _stored(path: str, options: argparse.Namespace) -> int:
    """
    A message of the queue: what if it came now?
    """
    folder, queue_id = os.path.dirname(path), options.queue_id
    try:
        found = explain_all(path, lambda spool: questions(folder, spool, queue_id))
    except ConfigError as e:
        problems = list(e.problems)
    except (ValueError, Fatal) as e:
        problems = [str(e)]
    else:
        if options.json:
            write(json.dumps([each.plain() for each in found], indent=2) + "\n")
        else:
            write("\n".join(as_text(each) for each in found))
        return 0
    for problem in problems:
        print(f"txmta explain: fatal: {problem}", file=sys.stderr)
    return 2


def _compare(before: Explanation, after: Explanation, as_json: bool) -> int:
    changes = differences(before, after)
    if as_json:
        both = {"before": before.plain(), "after": after.plain(), "diff": changes}
        write(json.dumps(both, indent=2) + "\n")
    elif changes:
        write("".join(f"{line}\n" for line in changes))
    else:
        write("no difference\n")
    return 1 if changes else 0


def _json(found: Explanation) -> str:
    return json.dumps(found.plain(), indent=2) + "\n"


def _parser() -> Parser:
    parser = Parser(
        prog="txmta explain",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c", dest="folder", metavar="DIR", help="with main.cf and master.cf"
    )
    parser.add_argument("--config", metavar="FILE", help="another main.cf: compare")
    parser.add_argument(
        "--client",
        default=Question.client,
        metavar="ADDRESS",
        help="IP address, or name[address]; without a name DNS is asked",
    )
    parser.add_argument("--helo", default=Question.helo, metavar="NAME")
    parser.add_argument("--login", default="", metavar="USER", help="who logged in")
    parser.add_argument(
        "--sender", default="", metavar="ADDRESS", help="default: the null sender"
    )
    parser.add_argument("--recipient", default="", metavar="ADDRESS")
    parser.add_argument(
        "--queue-id", metavar="ID", help="a message of the queue, as if it came now"
    )
    parser.add_argument("--tls", action="store_true", help="the session is encrypted")
    parser.add_argument(
        "--service",
        default="",
        metavar="NAME",
        help="of master.cf, as submission; default: the first smtpd",
    )
    parser.add_argument("--size", type=int, default=1000, metavar="OCTETS")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
