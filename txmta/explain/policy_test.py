"""
C{txmta test-policy}: does the configuration answer as it must?

Exit status: 0, it does in all cases; 1, it does not; 2, it cannot be asked;
64, the command is wrong.

Owns: options, the table of results.
Knows nothing of: cases (L{txmta.explain.cases}), how answers are found.

Errors: one line each on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from txmta.admin.common import DEFAULT_DIRECTORY, write
from txmta.errors import ConfigError
from txmta.explain.answer import Explanation
from txmta.explain.ask import explain_all
from txmta.explain.cases import MAX_FILE, Case, read
from txmta.explain.command import Parser
from txmta.explain.render import safe

_DESCRIPTION = """\
Put the cases of a file (YAML, or JSON if it ends in .json) to the configuration,
and tell which are not answered as they must be.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    parser = Parser(
        prog="txmta test-policy",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c", dest="folder", metavar="DIR", help="with main.cf and master.cf"
    )
    parser.add_argument("--config", metavar="FILE", help="main.cf; master.cf beside it")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("file", metavar="FILE", help="with cases")
    options = parser.parse_args(arguments)
    folder = options.folder or os.environ.get("MAIL_CONFIG") or DEFAULT_DIRECTORY
    path = options.config or os.path.join(folder, "main.cf")
    try:
        with open(options.file, "rb") as file:
            octets = file.read(MAX_FILE + 1)
        cases = read(octets, options.file)
        questions = tuple(case.question for case in cases)
        found = explain_all(os.path.abspath(path), questions)
    except OSError as e:
        return _fatal([f"{options.file}: {e.strerror}"])
    except ConfigError as e:
        return _fatal(e.problems)
    except ValueError as e:
        return _fatal([str(e)])
    results = [
        (case, one, case.failures(one)) for case, one in zip(cases, found, strict=True)
    ]
    write(_json(results) if options.json else _table(results))
    return 1 if any(wrong for _case, _one, wrong in results) else 0


def _fatal(problems: Sequence[str]) -> int:
    for problem in problems:
        print(f"txmta test-policy: fatal: {problem}", file=sys.stderr)
    return 2


Result = tuple[Case, Explanation, list[str]]


def _table(results: Sequence[Result]) -> str:
    width = min(max(len(case.name) for case, _one, _wrong in results), 60)
    out: list[str] = []
    for case, one, wrong in results:
        word = "FAIL" if wrong else "ok"
        out.append(f"{word:<4}  {case.name:<{width}}  {one.reply}")
        out += [f"      {each}" for each in wrong]
    failed = sum(bool(wrong) for _case, _one, wrong in results)
    out.append(f"{len(results)} cases, {failed} failed")
    return "".join(f"{safe(line)}\n" for line in out)


def _json(results: Sequence[Result]) -> str:
    plain = [
        {"name": case.name, "reply": one.reply, "failures": wrong}
        for case, one, wrong in results
    ]
    return json.dumps(plain, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
