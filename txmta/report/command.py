"""
C{txmta check}: the report, from the command line.

Exit status: 0, it would start and count as under Postfix; 1, it would not
start; 2, it would, but something that is set is not there yet or unknown;
64, the command is wrong.

Owns: options, and where the report goes.
Knows nothing of: the report.

Errors: one line each on standard error, exit status 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from txmta.admin.common import DEFAULT_DIRECTORY, write
from txmta.errors import ConfigError
from txmta.report.gather import gather
from txmta.report.render import as_json, table

EX_USAGE = 64

_DESCRIPTION = """\
Tell what becomes of each thing that main.cf and master.cf say: honoured,
approximated, without effect, refused or not there yet; why, and what to do.
Nothing is started or changed.
"""

_EPILOG = """\
Exit status: 0, txmta would start and treat mail as Postfix does; 1, it would
not start; 2, it would, but something that is set is ignored.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: fatal: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = _Parser(
        prog="txmta check",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-c", dest="folder", metavar="DIR", help="with main.cf and master.cf"
    )
    where.add_argument("--config", metavar="FILE", help="main.cf; master.cf beside it")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--brief", action="store_true", help="without what is honoured")
    options = parser.parse_args(arguments)
    folder = options.folder or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY
    path = options.config or os.path.join(folder, "main.cf")
    try:
        report = gather(os.path.abspath(path))
    except ConfigError as e:
        for problem in e.problems:
            print(f"txmta check: fatal: {problem}", file=sys.stderr)
        return 1
    write(as_json(report) if options.json else table(report, not options.brief))
    return report.status


if __name__ == "__main__":
    sys.exit(main())
