"""
Expansion of C{$name} in parameter values.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAME = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\}|\((\w+)\))")


def expand(text: str, lookup: Callable[[str], str]) -> str:
    """
    @param lookup: gives the expanded text of a parameter.
    """
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        return lookup(name) if name else "$"

    return _NAME.sub(value, text)
