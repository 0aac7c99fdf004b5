"""
C{postalias}: C{postmap} for texts in the format of aliases(5).

Sources: Postfix's postalias(1).

Errors: as L{txmta.admin.postmap}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from txmta.admin import postmap


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: the exit status.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return postmap.main(given, "postalias")


if __name__ == "__main__":
    sys.exit(main())
