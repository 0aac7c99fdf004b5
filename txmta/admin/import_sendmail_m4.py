"""
Read sendmail.mc: calls of m4 macros, and lines of sendmail.cf among them.

Owns: quotes, comments and arguments of m4. Nothing is expanded or included.
Knows nothing of: what any macro means.

Sources: m4(1); Sendmail's cf/README.

Errors: none; a call that does not end is a L{Call} that says so, and the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Octets of one file. Ours: Sendmail's own examples have fewer than 10,000.
MAX_FILE = 1 << 20

#: Sections of lines that go to sendmail.cf as they are.
_RAW = {
    *("LOCAL_CONFIG", "LOCAL_NET_CONFIG", "LOCAL_RULESETS", "MAILER_DEFINITIONS"),
    *("LOCAL_RULE_0", "LOCAL_RULE_1", "LOCAL_RULE_2", "LOCAL_RULE_3"),
}

_TOKEN = re.compile(r"dnl\b[^\n]*\n?|#[^\n]*|[A-Za-z_]\w*\(?|`|\n|[^\w`#\n]+|\w+")


@dataclass(frozen=True, slots=True)
class Call:
    """
    @ivar name: of the macro; C{""} is a line of sendmail.cf.
    @ivar arguments: without the outermost quotes.
    @ivar whole: it ends.
    """

    name: str
    arguments: tuple[str, ...]
    line: int
    whole: bool = True


def calls(text: str) -> Iterator[Call]:
    """
    @return: what the text asks for, in order.
    """
    at, line, raw, start = 0, 1, False, True
    while at < len(text):
        match = _TOKEN.match(text, at)
        token = match[0] if match else text[at]
        end = at + len(token)
        if (
            raw
            and start
            and not token.startswith(("dnl", "#", "\n"))
            and not (token.endswith("(") or token in _RAW)
        ):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            yield Call("", (text[at:end].strip(),), line)
        elif token in _RAW:
            raw = True
        elif token == "`":
            end = _quoted(text, at)
        elif token.endswith("(") and token[0].isidentifier():
            found, end = _arguments(text, end)
            yield Call(token[:-1], found or (), line, found is not None)
            if found is None:
                return
            raw = raw and token != "MAILER("
        start = text[end - 1 : end] == "\n"
        line += text.count("\n", at, end)
        at = end


#: The rest of a line, among arguments.
_COMMENT = re.compile(r"(?<!\w)dnl\b[^\n]*\n?")


def _quoted(text: str, at: int) -> int:
    """
    @return: behind the quoted text that begins here, or the end.
    """
    depth = 0
    for match in re.compile("[`']").finditer(text, at):
        depth += 1 if match[0] == "`" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _arguments(text: str, at: int) -> tuple[tuple[str, ...] | None, int]:
    """
    @return: the arguments, or L{None} if they do not end; where they end.
    """
    found: list[str] = []
    piece = ""
    depth = 1
    while at < len(text):
        c = text[at]
        if c == "`":
            end = _quoted(text, at)
            piece += text[at + 1 : end - 1]
            at = end
            continue
        if c == "d" and (comment := _COMMENT.match(text, at)):
            at = comment.end()
            continue
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return (*found, piece.strip()), at + 1
        if c == "," and depth == 1:
            found.append(piece.strip())
            piece = ""
        else:
            piece += c
        at += 1
    return None, at
