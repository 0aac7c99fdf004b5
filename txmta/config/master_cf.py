"""
Read master.cf.

Owns: its eight columns, C{-o} overrides, the built-in one.
Knows nothing of: which services exist, sockets.

Sources: Postfix's master(5); C{master/master_ent.c}, whose words are used.
Stricter than it: C{10m} for a wake-up time is an error and not 10 seconds, and
so is a C{-o} without C{name=value} (there, the daemon ends that gets it).

Errors: L{ConfigError<txmta.errors.ConfigError>} with every bad line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from txmta.config.lines import logical_lines, read_text, unfit
from txmta.config.master_lines import is_option, unbraced, words
from txmta.config.settings import Settings
from txmta.errors import ConfigError

#: Where the services are that count without a master.cf.
BUILT_IN = "built-in master.cf"

#: Kinds of service in master(5).
TYPES = ("inet", "unix", "unix-dgram", "fifo", "pass")

#: Services in one file. Ours.
MAX_SERVICES = 1000

#: What Postfix calls the columns in messages.
COLUMNS = (
    *("service name", "transport type", "private", "unprivileged", "chroot"),
    *("wakeup_time", "max_proc", "command"),
)

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
    where: str = BUILT_IN


def _ignore(_warning: str) -> None:
    """
    Nobody wants to know.
    """


def read_master_cf(
    path: str, warn: Callable[[str], None] = _ignore, chroot: bool = False
) -> Sequence[Service]:
    """
    @param warn: told of what Postfix warns of, too.
    @param chroot: what C{-} means; C{y} below compatibility level 1.
    @raise ConfigError: the file cannot be read or has bad lines.
    """
    return parse_master_cf(path, read_text(path), warn, chroot)


def builtin_master_cf() -> Sequence[Service]:
    """
    @return: what counts without a master.cf.
    """
    services = parse_master_cf(BUILT_IN, _ROWS)
    return tuple(replace(service, where=BUILT_IN) for service in services)


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


def enabled(services: Sequence[Service], off: Sequence[str]) -> Sequence[Service]:
    """
    @param off: master_service_disable: C{type} or C{name/type}; with C{!}
        before it, not that one. The first that matches counts.
    @return: the services that are left.
    """
    return tuple(s for s in services if not _is_off(s, off)) if off else services


def _is_off(service: Service, off: Sequence[str]) -> bool:
    for item in off:
        bare = item.lstrip("!")
        if bare in (service.type, f"{service.name}/{service.type}"):
            return (len(item) - len(bare)) % 2 == 0
    return False


def parse_master_cf(
    path: str,
    text: str,
    warn: Callable[[str], None] = _ignore,
    chroot: bool = False,
) -> Sequence[Service]:
    """
    @param path: for messages.
    @param warn: see L{read_master_cf}; so C{chroot}.
    """
    services: dict[tuple[str, str], Service] = {}
    problems: list[str] = []
    for line in logical_lines(text):
        where = f"{path}, line {line.number}"
        if line.text[0].isspace():
            warn(
                f"{where}: logical line must not start with whitespace, ignored: "
                f'"{line.text[:60]}"'
            )
            continue
        try:
            if trouble := unfit(line):
                raise ValueError(trouble)
            service = _service(line.text, where, chroot)
        except ValueError as e:
            problems.append(f"{where}: {e}")
            continue
        # The last counts, at the place of the last.
        if before := services.pop((service.name, service.type), None):
            warn(
                f"{where}: duplicate master.cf entry for service {service.name} "
                f"{service.type} -- using the last entry, not {before.where}"
            )
        services[service.name, service.type] = service
        if len(services) > MAX_SERVICES:
            problems.append(f"{where}: more than {MAX_SERVICES} services")
            break
    if problems:
        raise ConfigError(problems)
    return tuple(services.values())


def _service(text: str, where: str, jail: bool) -> Service:
    fields = tuple(_fields(text))
    if len(fields) < len(COLUMNS):
        raise ValueError(
            f'missing "{COLUMNS[len(fields)]}" field: write all 8 columns: '
            f"{', '.join(COLUMNS)}"
        )
    name, kind, private, unprivileged, chroot, wakeup, maxproc, program = fields[:8]
    for column, field_text in (("transport type", kind), ("command", program)):
        if field_text == "-":
            raise ValueError(f'field "{column}" has no default value')
    if kind not in TYPES:
        raise ValueError(f"bad transport type: {kind}: write one of {', '.join(TYPES)}")
    is_private = _flag("private", private, default=True)
    if kind == "inet" and is_private:
        raise ValueError(f"inet service cannot be private: write n, not {private}")
    arguments, overrides = _options(fields[8:])
    return Service(
        name,
        kind,
        is_private,
        _flag("unprivileged", unprivileged, default=True),
        _flag("chroot", chroot, default=jail),
        _wakeup(wakeup),
        _maxproc(maxproc),
        program,
        arguments,
        overrides,
        where,
    )


def _fields(text: str) -> Iterator[str]:
    """
    @return: the columns; then the arguments, in which C{{ ... }} keeps what is
        inside together, and is taken off where it is around all of one.
    """
    columns = text.split(maxsplit=len(COLUMNS))
    yield from columns[: len(COLUMNS)]
    for word in words("".join(columns[len(COLUMNS) :])):
        yield unbraced(word, _refuse) if word.startswith("{") else word


def _refuse(problem: str) -> NoReturn:
    raise ValueError(problem)


def _options(arguments: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    As getopt: options end at the first word without C{-}, so that a C{-o}
    in the command of a pipe service stays where it is; C{-vo} is C{-v -o}.
    """
    left: list[str] = []
    overrides: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        letters, o, value = word.partition("o")
        if not is_option(word):
            left += [word, *rest]
        elif not o:
            left.append(word)
        else:
            if letters != "-":
                left.append(letters)
            name, value = _override(value or next(rest, ""))
            overrides[name] = value
    return tuple(left), overrides


def _override(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    name = name.strip()
    trouble = ""
    if not option:
        trouble = "option requires an argument"
    elif not equals:
        trouble = f"missing '=' after attribute name: \"{option[:60]}\""
    elif not name:
        trouble = f'missing attribute name: "{option[:60]}"'
    elif not re.fullmatch(r"\S+", name):
        trouble = f'white space in attribute name: "{name[:60]}"'
    if trouble:
        raise ValueError(
            f"-o: {trouble}: write -o name=value without white space, or "
            "-o { name = value }"
        )
    return name, value.strip()


def _flag(column: str, text: str, default: bool) -> bool:
    if text not in ("y", "n", "-"):
        raise _bad(column, text, "y, n or -")
    return default if text == "-" else text == "y"


def _wakeup(text: str) -> float:
    if text == "-":
        return 0.0
    # "?" wakes only a service that is used; all of ours are
    if not re.fullmatch(r"\d{1,9}\??", text):
        raise _bad("wakeup_time", text, "seconds, seconds? or - for never")
    return float(text.removesuffix("?"))


def _maxproc(text: str) -> int | None:
    if text == "-":
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise _bad("max_proc", text, "a number, 0 for no limit, or -")
    return int(text)


def _bad(column: str, text: str, good: str) -> ValueError:
    return ValueError(f'field "{column}": bad value: "{text}": write {good}')
