"""
Tell the service manager how we are.

Owns: the datagrams of sd_notify.
Knows nothing of: what ready means.

Sources: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5).

Errors: none; a service manager that cannot be told is not told.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Notify:
    """
    @ivar address: of the socket; C{""}: there is nobody to tell.
    @ivar watchdog: seconds within which we must show that we live, or 0.
    """

    address: str = ""
    watchdog: float = 0.0

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Notify:
        """
        What concerns only this process is taken out: children must not speak
        for us.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        for_us = usec.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if for_us else 0.0)

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """
        @param monotonic: seconds of CLOCK_MONOTONIC, now.
        """
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1e6)}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if self.address[:1] not in ("/", "@"):
            return
        address = self.address
        if address[0] == "@":
            address = "\0" + address[1:]
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), made:
            made.setblocking(False)
            made.sendto(text.encode("utf-8"), address)
