"""
C{{ text }}: how Postfix puts white space into one item of a list.

Sources: Postfix: C{util/extpar.c}, C{util/split_nameval.c}.

Errors: C{ValueError}, in Postfix's words.
"""

from __future__ import annotations

from txmta.config.declare import to_words


def inside(text: str) -> str:
    """
    @param text: starts with a brace.
    @return: what stands between it and its partner, less white space at
        either end.
    """
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if depth == 0:
            if i + 1 < len(text):
                raise ValueError(f"syntax error after '}}' in \"{text}\"")
            return text[1:i].strip()
    raise ValueError(f"missing '}}' in \"{text}\"")


def name_value(text: str) -> tuple[str, str]:
    """
    Split C{name = value}.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not name:
        raise ValueError("missing attribute name")
    if not equals or any(c.isspace() for c in name):
        raise ValueError("missing '=' after attribute name")
    return name, value.strip()


def elements(text: str) -> tuple[str, ...]:
    """
    @param text: C{{ one, two three }}.
    @return: the elements, at least one; what stands in braces of its own is
        one of them, with its braces.
    @raise ValueError: in Postfix's words.
    """
    try:
        if not text.startswith("{"):
            raise ValueError
        found = to_words(inside(text))
    except ValueError:
        raise ValueError("bad syntax") from None
    if not found:
        raise ValueError("bad syntax")
    return found
