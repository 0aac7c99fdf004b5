"""
Values that stand for the content of files, as base64.

Where C{postmap -F} or a parameter such as C{tls_server_sni_maps} says so, a value
of a text is a list of files, and what a table answers is their content, coded so
that line ends and NULs do no harm.

Owns: which files a value names, and how the content is coded.
Knows nothing of: tables; which process may read what (a C{read} function does).

Sources: Postfix's postmap(1), C{-F}; C{util/dict_file.c}.

Errors: C{ValueError}, in Postfix's words.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable

_SEPARATORS = re.compile(r"[, \t\r\n]+")

#: Octets of what one value stands for; certificates have a few thousand.
MAX_CONTENT = 1024 * 1024


def encoded(names: str, read: Callable[[str], str]) -> str:
    """
    @param names: of files, between commas or white space.
    @param read: gives the content of one, or raises C{OSError}.
    @return: their content, a line end between files, as base64.
    @raise ValueError: one cannot be read.
    """
    paths = [name for name in _SEPARATORS.split(names) if name]
    if not paths:
        raise ValueError(f"empty pathname list: >>{names}<<'")
    contents = []
    for path in paths:
        try:
            contents.append(read(path))
        except OSError as e:
            raise ValueError(f"open {path}: {e.strerror or e}") from e
    octets = "\n".join(contents).encode("utf-8", "surrogateescape")
    if len(octets) > MAX_CONTENT:
        raise ValueError(f"{names}: larger than {MAX_CONTENT} bytes")
    return b64encode(octets).decode("ascii")


def decoded(value: str) -> str:
    """
    @return: the content that L{encoded} made C{value} of.
    @raise ValueError: it is no such value.
    """
    try:
        octets = b64decode(value.encode("ascii"), validate=True)
    except (Error, UnicodeError, ValueError):
        raise ValueError(f"malformed BASE64 value: {value}") from None
    return octets.decode("utf-8", "surrogateescape")


def is_encoded(value: str) -> bool:
    """
    @return: it is no path, but content already: C{postmap -iF} puts it so into
        a text.
    """
    if not value or value.startswith("/"):
        return False
    try:
        decoded(value)
    except ValueError:
        return False
    return True
