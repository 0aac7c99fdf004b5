"""
What the end of a command means for the mail that it was given.

Owns: exit status and output to RFC 3463 code and reason, in Postfix's words.
Knows nothing of: processes.

Sources: sysexits.h; Postfix C{global/sys_exits.c}, C{global/pipe_command.c},
C{global/dsn_util.c}; pipe(8), DIAGNOSTICS. Debian's Postfix is the oracle of
the tests.

Errors: none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Octets of output that are looked at, as Postfix's VSTREAM_BUFSIZE.
MAX_OUTPUT = 4096

_EX_BASE = 64
_EX_SOFTWARE = 70
_EXITS = (
    ("5.3.0", "command line usage error"),  # EX_USAGE, 64
    ("5.6.0", "data format error"),
    ("5.3.0", "cannot open input"),
    ("5.1.1", "user unknown"),  # EX_NOUSER, 67
    ("5.1.2", "host name unknown"),
    ("5.3.0", "service unavailable"),
    ("5.3.0", "internal software error"),  # EX_SOFTWARE, 70
    ("4.3.0", "system resource problem"),
    ("5.3.0", "critical OS file missing"),
    ("5.2.0", "can't create user output file"),
    ("5.3.0", "input/output error"),
    ("4.3.0", "temporary failure"),  # EX_TEMPFAIL, 75
    ("5.5.0", "remote error in protocol"),
    ("5.7.0", "permission denied"),
    ("5.3.5", "local configuration error"),  # EX_CONFIG, 78
)

_STATUS = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+(.*)|$)", re.ASCII)
_WHITE = bytes.maketrans(b"\t\n", b"  ")
_UNPRINTABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a command ended.

    @ivar status: exit status, 0 to 255.
    @ivar signal: that killed it, or 0.
    @ivar output: the first octets of what it said, at most L{MAX_OUTPUT}.
    @ivar timed_out: it was killed, for it took too long.
    """

    status: int = 0
    signal: int = 0
    output: bytes = b""
    timed_out: bool = False


def printable(output: bytes) -> str:
    """
    @return: one line of printable text, as Postfix logs output; octets that
        are no UTF-8 are C{_}.
    """
    text = output.translate(_WHITE).decode("utf-8", "replace")
    if text.isascii():
        return _UNPRINTABLE.sub("_", text)
    return "".join(c if c.isprintable() and c != "\ufffd" else "_" for c in text)


def verdict(command: str, ending: Ending) -> tuple[str, str]:
    """
    @param command: its text, or the name of its program.
    @return: RFC 3463 code, and the reason; when all is well that is the
        output, which may be C{""}.
    """
    said = printable(ending.output)
    tail = f". Command output: {said}" if said else ""
    if ending.timed_out:
        return "5.3.0", f'Command time limit exceeded: "{command}"{tail}'
    if ending.signal:
        return "4.3.0", f'Command died with signal {ending.signal}: "{command}"{tail}'
    if ending.status == 0:
        return "2.0.0", said.strip()
    told = _STATUS.match(said)
    if told is not None:
        # A command that says "2.x.x" and fails has failed.
        code = "5.0.0" if told[1][0] == "2" else told[1]
        return code, told[2] or "unspecified"
    return _exit(command, ending.status, tail)


def diagnostic(ending: Ending) -> str:
    """
    @return: the Diagnostic-Code of a command that failed: what it said, else
        what its exit status means.
    """
    said = printable(ending.output).strip()
    by_itself = not ending.timed_out and not ending.signal
    if told := _STATUS.match(said) if by_itself else None:
        said = told[2] or "unspecified"
    if not said:
        status = ending.status if by_itself else _EX_SOFTWARE
        said = f"unknown mail system error {status}"
        if 0 <= status - _EX_BASE < len(_EXITS):
            said = _EXITS[status - _EX_BASE][1]
    return f"x-unix; {said}"


def _exit(command: str, status: int, tail: str) -> tuple[str, str]:
    if 0 <= status - _EX_BASE < len(_EXITS):
        code, text = _EXITS[status - _EX_BASE]
        return code, text + tail
    return "5.3.0", f'Command died with status {status}: "{command}"{tail}'
