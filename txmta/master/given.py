"""
What a child is given besides its links.

Owns: the names of listening sockets; the form of the settings' descriptor.
Knows nothing of: children.

Sources: memfd_create(2), fcntl(2) (F_ADD_SEALS).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping

from txmta.config.snapshot import Configuration
from txmta.master.binding import Bound


def listening_names(
    sockets: Iterable[Bound], configuration: Configuration
) -> Mapping[str, int]:
    """
    @return: descriptors by C{"listen:service:port:host"}, where the service is
        its place in master.cf.
    """
    services = [*configuration.services]
    return {
        f"listen:{services.index(each.listen.service)}:{each.listen.port}:"
        f"{each.listen.host}": each.socket.fileno()
        for each in sockets
    }


def sealed(data: bytes, name: str = "settings") -> int:
    """
    @param name: for /proc.
    @return: a descriptor of a file in memory that nobody can change.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_WRITE)
    return descriptor
