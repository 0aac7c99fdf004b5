"""
POSIX extended expressions, as PCRE2 has to read them.

Owns: what is written differently.
Knows nothing of: libraries.

Only for expressions with back-references, which no POSIX library searches in
bounded time. Of several matches from one place PCRE2 takes the first, not the
longest; whether there is one is the same.

Sources: regex(7); pcre2pattern(3).

Errors: C{ValueError} for what has no counterpart.
"""

from __future__ import annotations

import re

# A bracket expression: "]" is no end at its start, nor inside [: :].
_BRACKET = r"\[\^?\]?(?:\[(?P<class>[:.=]).*?(?P=class)\]|[^\]])*\]"
_TOKEN = re.compile(
    rf"(?P<bracket>{_BRACKET})|(?P<escape>\\.)|(?P<open>\(\??)|(?P<repeat>[*+?]|\{{)"
    r"|(?P<other>.)",
    re.DOTALL,
)

#: GNU's own escapes.
_ESCAPES = {
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "`": r"\A",
    "'": r"\z",
    **{c: f"\\{c}" for c in "wWsSbB123456789"},
}


def has_back_reference(pattern: str) -> bool:
    """
    Whether C{\\1} to C{\\9} stand anywhere but in brackets.
    """
    return any(
        (escape := token["escape"]) and escape[1] in "123456789"
        for token in _TOKEN.finditer(pattern)
    )


def to_pcre(pattern: str) -> str:
    """
    @param pattern: one that a POSIX library takes.
    """
    pieces = []
    repeated = False
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token["bracket"]:
            if "[." in text or "[=" in text:
                raise ValueError("not together with [. .] or [= =]")
            text = text.replace("\\", "\\\\")
        elif token["escape"]:
            text = _ESCAPES.get(text[1], f"\\{text[1]}")
            if text[1:].isalnum() and text[1:] not in _ESCAPES:
                text = text[1:]
        elif token["open"] == "(?" or (token["repeat"] and repeated):
            raise ValueError("not together with a repeated repetition")
        repeated = token["repeat"] is not None
        pieces.append(text)
    return "".join(pieces)
