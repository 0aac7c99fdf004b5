"""
Read master.cf.

Owns: its eight columns, C{-o} overrides, the built-in one.
Knows nothing of: which services exist, sockets.

Sources: Postfix's master(5); C{master/master_ent.c}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with every bad line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from txmta.config.lines import logical_lines, read_text, unfit
from txmta.config.settings import Settings
from txmta.errors import ConfigError

#: Kinds of service in master(5).
TYPES = ("inet", "unix", "unix-dgram", "fifo", "pass")

#: Services in one file. Ours.
MAX_SERVICES = 1000

_ROWS = """\
smtp      inet  n  -  n  -     -  smtpd
pickup    unix  n  -  n  60    1  pickup
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
proxymap  unix  -  -  n  -     -  proxymap
smtp      unix  -  -  n  -     -  smtp
relay     unix  -  -  n  -     -  smtp
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
local     unix  -  n  n  -     -  local
virtual   unix  -  n  n  -     -  virtual
lmtp      unix  -  -  n  -     -  lmtp
"""


@dataclass(frozen=True)
class Service:
    """
    One entry of master.cf.

    @ivar name: for C{inet}, C{[host:]port}; else the service's name.
    @ivar type: one of L{TYPES}.
    @ivar wakeup: seconds between wake-ups; 0: never.
    @ivar maxproc: L{None} for C{-} (default_process_limit), 0: no limit.
    @ivar program: the daemon.
    @ivar arguments: what follows it, less the C{-o} options.
    @ivar overrides: C{-o name=value}, unexpanded; the last of each name.
    @ivar where: C{"master.cf, line 12"}, for messages.
    """

    name: str
    type: str
    private: bool
    unprivileged: bool
    chroot: bool
    wakeup: float
    maxproc: int | None
    program: str
    arguments: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)
    where: str = "built-in master.cf"


def read_master_cf(path: str) -> Sequence[Service]:
    """
    @raise ConfigError: the file cannot be read or has bad lines.
    """
    return parse_master_cf(path, read_text(path))


def builtin_master_cf() -> Sequence[Service]:
    """
    @return: what counts without a master.cf.
    """
    return parse_master_cf("built-in master.cf", _ROWS)


def service_settings(settings: Settings, service: Service) -> Settings:
    """
    @return: what counts for one service: C{-o} overrides, $service_name.
    @raise ConfigError: an override is wrong.
    """
    values = {
        "service_name": service.name,
        "process_name": service.program,
        **service.overrides,
    }
    return settings.override(values, service.where)


def parse_master_cf(path: str, text: str) -> Sequence[Service]:
    """
    @param path: for messages.
    """
    services: dict[tuple[str, str], Service] = {}
    problems: list[str] = []
    for line in logical_lines(text):
        where = f"{path}, line {line.number}"
        try:
            if line.text[0].isspace():
                raise ValueError(
                    "starts with white space, and continues nothing: begin it in "
                    "the first column"
                )
            if trouble := unfit(line):
                raise ValueError(trouble)
            service = _service(line.text, where)
            before = services.setdefault((service.name, service.type), service)
            if before is not service:
                raise ValueError(
                    f"service {service.name} {service.type} is already defined at "
                    f"{before.where}: remove one"
                )
        except ValueError as e:
            problems.append(f"{where}: {e}")
        if len(services) > MAX_SERVICES:
            problems.append(f"{where}: more than {MAX_SERVICES} services")
            break
    if problems:
        raise ConfigError(problems)
    return tuple(services.values())


def _service(text: str, where: str) -> Service:
    fields = tuple(_fields(text))
    if len(fields) < 8:
        raise ValueError(
            f"has {len(fields)} of 8 columns: write service, type, private, "
            "unprivileged, chroot, wakeup, maxproc, command"
        )
    name, kind, private, unprivileged, chroot, wakeup, maxproc, program = fields[:8]
    if kind not in TYPES:
        raise ValueError(f"service type {kind} is none of {', '.join(TYPES)}")
    if kind == "inet" and private != "n":
        raise ValueError(f"inet service cannot be private: write n, not {private}")
    arguments, overrides = _options(fields[8:])
    return Service(
        name,
        kind,
        _flag("private", private, default=True),
        _flag("unprivileged", unprivileged, default=True),
        _flag("chroot", chroot, default=False),
        _wakeup(wakeup),
        _maxproc(maxproc),
        program,
        arguments,
        overrides,
        where,
    )


def _fields(text: str) -> Iterator[str]:
    """
    Split at white space; C{{ ... }} is one field, without its braces.
    """
    at = 0
    while (at := _skip(text, at)) < len(text):
        start = at
        if text[at] == "{":
            at = _closing(text, at)
            yield text[start + 1 : at].strip()
            at += 1
            if at < len(text) and not text[at].isspace():
                raise ValueError(f"has no white space after '}}': {text[start:][:40]}")
            continue
        while at < len(text) and not text[at].isspace():
            at += 1
        yield text[start:at]


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _closing(text: str, at: int) -> int:
    depth = 0
    for index in range(at, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise ValueError(f"has a '{{' without '}}': {text[at:][:40]}")


def _options(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    As getopt: options end at the first word without C{-}, so that a C{-o}
    in the command of a pipe service stays where it is.
    """
    arguments: list[str] = []
    overrides: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            arguments += [word, *rest]
        elif not word.startswith("-o"):
            arguments.append(word)
        else:
            name, value = _override(word[2:] or next(rest, ""))
            overrides[name] = value
    return tuple(arguments), overrides


def _override(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals or not re.fullmatch(r"\S+", name.strip()):
        raise ValueError(
            f"-o {option}: is not name=value: write -o name=value without white "
            "space, or -o { name = value }"
        )
    return name.strip(), value.strip()


def _flag(column: str, text: str, default: bool) -> bool:
    if text not in ("y", "n", "-"):
        raise ValueError(f"{column} is {text}: write y, n or -")
    return default if text == "-" else text == "y"


def _wakeup(text: str) -> float:
    if text == "-":
        return 0.0
    # "?" wakes only a service that is used; all of ours are
    if not re.fullmatch(r"\d{1,9}\??", text):
        raise ValueError(f"wakeup is {text}: write seconds, or - for never")
    return float(text.removesuffix("?"))


def _maxproc(text: str) -> int | None:
    if text == "-":
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"maxproc is {text}: write a number, 0 for no limit, or -")
    return int(text)
