"""
C{twistd -n txmta --config main.cf}: where the reactor comes in.

The only module of txmta that imports the reactor.

Errors: a configuration that cannot be used ends in one line for each problem
on standard error and exit status 1, before anything is opened or listened on.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import IService
from twisted.python.usage import Options as _Options

from txmta.errors import ConfigError
from txmta.start import make_service, read, say_fatal

if TYPE_CHECKING:
    from txmta.roles.shared import Reactor


class Options(_Options):
    """
    The command line after C{twistd txmta}.
    """

    optParameters = [
        ["config", "c", "/etc/txmta/main.cf", "Path of main.cf; master.cf is beside."]
    ]
    optFlags = [
        [
            "allow-not-yet",
            None,
            "For trials: start although main.cf asks for what is not supported yet.",
        ]
    ]
    longdesc = "A mail transfer agent, configured like Postfix."

    def postOptions(self) -> None:
        # twistd changes its directory when it becomes a daemon.
        path = os.path.abspath(self["config"])
        try:
            self.configuration = read(path, bool(self["allow-not-yet"]))
            self._check_twistd()
        except ConfigError as e:
            # Not UsageError: twistd would print its usage before the errors.
            say_fatal(e.problems)
            raise SystemExit(1) from e

    def _check_twistd(self) -> None:
        """
        Master is in no jail: its children have other rights, and other jails.
        """
        jail = self.parent and self.parent.get("chroot")
        if jail and self.configuration.settings.several_processes:
            raise ConfigError(
                [
                    "twistd --chroot: leave out: write y in the chroot column of "
                    "master.cf, or process_model = single"
                ]
            )


def makeService(options: Options) -> IService:
    """
    Called once by twistd, before it becomes a daemon.
    """
    from twisted.internet import reactor

    # Timers on a monotonic clock: the stock reactor's seconds() is wall time,
    # and a clock set back by a day would stop every timer for a day.
    cast(Any, reactor).seconds = time.monotonic
    return make_service(options.configuration, cast("Reactor", reactor), time.time)
