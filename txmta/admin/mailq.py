"""
C{mailq}: list the queue, as C{postqueue -p}.

Sources: Postfix's mailq(1).

Errors: as L{txmta.admin.postqueue}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from txmta.admin import postqueue


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @param arguments: options of sendmail(1), of which C{-C}, C{-c} and C{-v}
        mean something here.
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    given = [g.replace("-C", "-c", 1) if g.startswith("-C") else g for g in given]
    return postqueue.main(["-p", *given], "mailq")


if __name__ == "__main__":
    sys.exit(main())
