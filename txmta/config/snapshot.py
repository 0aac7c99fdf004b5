"""
A configuration as octets, for another process of the server.

Owns: what makes up a configuration, and its form on the way.
Knows nothing of: how it gets there; what any parameter means.

It travels only from a process of the server to one that it has started, so a
form that cannot be read is a bug.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

from txmta.config.declare import Interface, System
from txmta.config.kept_files import Files, HeldFiles, KeptFiles, encode_files
from txmta.config.master_cf import Service
from txmta.config.settings import Definition, Settings
from txmta.errors import ConfigError


@dataclass(frozen=True)
class Configuration:
    """
    What main.cf and master.cf say, checked.

    @ivar path: of main.cf.
    @ivar warnings: for the log.
    @ivar files: tables and lists that root alone can read.
    @ivar allow_not_yet: what is not supported yet does not stop the start.
    @ivar allowed: what would have; among the warnings, too.
    @ivar notes: for the log; nothing is wrong.
    @ivar roles: of a server of several processes, in the order of their start.
    @ivar plugins: see L{places<txmta.plugins.places>}.
    """

    path: str
    settings: Settings
    services: Sequence[Service]
    warnings: Sequence[str] = ()
    files: Files = field(default_factory=HeldFiles, compare=False)
    plugins: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allow_not_yet: bool = False
    allowed: Sequence[str] = ()
    notes: Sequence[str] = ()
    roles: Sequence[str] = ()


#: Octets of what is wrong with a configuration.
MAX_RESULT = 64 << 20

_LENGTH = struct.Struct(">Q")


def pack(configuration: Configuration) -> bytes:
    """
    @return: what L{unpack} makes a configuration from, with its files.
    """
    data, files = encode(configuration), configuration.files
    assert isinstance(files, HeldFiles)  # else they are somebody else's
    return b"".join((_LENGTH.pack(len(data)), data, encode_files(files)))


def unpack(descriptor: int, at: int = 0) -> Configuration:
    """
    @param descriptor: holds what L{pack} gave; ours from now on, until
        C{files} are closed.
    @param at: where it begins.
    """
    # Others read the same open file: its position is nobody's.
    (length,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, at))
    at += _LENGTH.size
    found = decode(os.pread(descriptor, length, at))
    return replace(found, files=KeptFiles(descriptor, at + length))


def write_result(descriptor: int, found: Configuration | Sequence[str]) -> None:
    """
    @param found: a configuration, or what is wrong with it.
    """
    if isinstance(found, Configuration):
        data = b"=" + pack(found)
    else:
        data = b"!" + json.dumps([*found]).encode("ascii")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)


def read_result(descriptor: int) -> Configuration:
    """
    @param descriptor: of what L{write_result} has written; stays open.
    @raise ConfigError: with what is wrong.
    """
    if os.pread(descriptor, 1, 0) == b"!":
        wrong = json.loads(os.pread(descriptor, MAX_RESULT, 1))
        raise ConfigError([str(each) for each in wrong])
    found = unpack(os.dup(descriptor), 1)  # that is its files'
    assert isinstance(found.files, KeptFiles)
    held = found.files.held()
    found.files.close()
    return replace(found, files=held)


def encode(configuration: Configuration) -> bytes:
    """
    @return: everything but what follows from it, and files.
    """
    settings = configuration.settings
    value = {
        "path": configuration.path,
        "definitions": {
            name: [each.text, each.where] for name, each in settings.definitions.items()
        },
        "system": asdict(settings.system),
        "services": [asdict(service) for service in configuration.services],
        "warnings": list(configuration.warnings),
        "allow_not_yet": configuration.allow_not_yet,
        "allowed": list(configuration.allowed),
        "notes": list(configuration.notes),
        "roles": list(configuration.roles),
        "plugins": {name: [*each] for name, each in configuration.plugins.items()},
    }
    # Text that was not UTF-8 has surrogates, which are plain ASCII here.
    return json.dumps(value, default=_plain).encode("ascii")


# For children that find it done when they are forked.
@lru_cache(maxsize=1)
def decode(data: bytes) -> Configuration:
    """
    @param data: as L{encode} made it.
    """
    value = json.loads(data)
    definitions = {
        name: Definition(text, where)
        for name, (text, where) in value["definitions"].items()
    }
    settings = Settings(definitions, _system(value["system"]))
    services = tuple(_service(each) for each in value["services"])
    return Configuration(
        value["path"],
        settings,
        services,
        tuple(value["warnings"]),
        plugins=value["plugins"],
        allow_not_yet=value["allow_not_yet"],
        allowed=tuple(value["allowed"]),
        notes=tuple(value["notes"]),
        roles=tuple(value["roles"]),
    )


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in a configuration")


def _system(value: Mapping[str, Any]) -> System:
    return System(
        **{
            **value,
            "interfaces": tuple(Interface(**each) for each in value["interfaces"]),
            "hosts": {name: tuple(found) for name, found in value["hosts"].items()},
        }
    )


def _service(value: Mapping[str, Any]) -> Service:
    return Service(**{**value, "arguments": tuple(value["arguments"])})
