"""
What Python and the C library would load late, at the worst moment: after
chroot, or from where the mail owner may not read.

Owns: the list for the fork server, and what is done once before confinement.
Knows nothing of: our own modules, and Twisted's, which need no list: what is
    imported at the top of a module is there.

Sources: Python's C{encodings} (codecs are imported by name), C{time.strptime},
    C{email}; pthread_cancel(3) (libgcc_s is opened by the C library).

Errors: none; what is not there now would not be there later.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings
import importlib
import pkgutil
import time
from collections.abc import Sequence
from functools import cache

#: Of the standard library: imported inside functions, by it or by us.
_LATE = (
    *("_strptime", "ast", "bisect", "calendar", "copy", "datetime"),
    *("email._header_value_parser", "email.contentmanager", "email.generator"),
    *("email.headerregistry", "email.policy", "email.utils", "fnmatch", "grp"),
    *("hashlib", "hmac", "inspect", "ipaddress", "json", "linecache", "locale"),
    *("pickle", "pwd", "queue", "random", "secrets", "sqlite3", "ssl"),
    *("stringprep", "syslog", "textwrap", "tokenize", "traceback", "unicodedata"),
    *("uuid", "zoneinfo"),
)

#: For other systems than ours.
_ELSEWHERE = frozenset(("mbcs", "oem", "cp65001"))


def modules() -> Sequence[str]:
    """
    @return: what a fork server is to import besides our own.
    """
    codec_modules = (
        f"encodings.{each.name}"
        for each in pkgutil.iter_modules(encodings.__path__)
        if each.name not in _ELSEWHERE
    )
    return (*_LATE, *codec_modules)


@cache
def warm_up() -> None:
    """
    Once in each process before it is confined; nothing to do where it was
    forked from one that has done so.
    """
    for each in modules():
        with contextlib.suppress(ImportError):
            importlib.import_module(each)
    time.strftime("%Z", time.localtime())
    with contextlib.suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1")
