"""
C{newaliases}, C{sendmail -bi}: C{postalias} for what alias_database names.

Sources: Postfix's newaliases(1), C{sendmail/sendmail.c}.

Errors: as L{txmta.admin.postalias}.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from txmta.admin import sendmail
from txmta.admin.common import Tool, main_cf
from txmta.admin.postalias import main as postalias


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: options of sendmail(1).
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return sendmail.main(["-bi", *given])


def make(folder: str) -> int:
    """
    @param folder: where main.cf is.
    @return: the exit status.
    """
    tables: list[str] = []

    def look() -> None:
        tables.extend(re.split(r"[, \t\r\n]+", main_cf(folder).text("alias_database")))

    # What is wrong with main.cf is told by this name, too.
    status = Tool("postalias", "", 1).run(look)
    wanted = [table for table in tables if table]
    return status or (postalias(["-c", folder, "--", *wanted]) if wanted else 0)


if __name__ == "__main__":
    sys.exit(main())
