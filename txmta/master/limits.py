"""
What the process may do, apart from who it is.

Owns: umask, open files.

Sources: umask(2), getrlimit(2). Postfix: C{master/master.c} (umask 077),
    C{util/open_limit.c}.
"""

from __future__ import annotations

import os
import resource


def set_limits() -> int:
    """
    umask 077, whatever twistd was told; as many open files as allowed.

    @return: how many files may be open.
    """
    os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # an "infinite" hard limit above the kernel's
        return soft
    return hard
