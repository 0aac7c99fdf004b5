"""
The server as a master and its children (process_model = multi): which there
are, and what they are made of.

Owns: the plan of children; what is theirs and what is master's.
Knows nothing of: how children are started and watched (L{txmta.master}), what
    any of them does (L{txmta.roles.children}).
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

import txmta
from txmta.child import BLOCKING, ROLES, Kit
from txmta.child_process import log_trouble, run
from txmta.config.settings import Settings
from txmta.config.snapshot import Configuration, unpack
from txmta.errors import ConfigError
from txmta.ground import prepare
from txmta.log.maillog import MailLog
from txmta.master import preload
from txmta.master.confined_role import as_seen, confine_role
from txmta.master.family import Post
from txmta.master.fork_server import leave_to_children
from txmta.master.given import sealed
from txmta.master.preload import warm_up
from txmta.master.readable import needed
from txmta.master.reload import CHECK
from txmta.master.service import Arrangement, Ground, Master
from txmta.plugins import remember
from txmta.roles.log import log_target
from txmta.smtp.tally import fresh
from txmta.start import end_start, say_fatal

if TYPE_CHECKING:
    from txmta.roles.shared import Reactor

#: Of the local role: while one waits for a disk, another works. On two cores,
#: two bring 20 to 35 % more mail to Maildirs than one.
LOCALS = 2

#: What is no child's.
_APART = ("txmta.admin", "txmta.report", "txmta.tap", "txmta.test_suite")

#: Our plug-ins; who is told where they are does not load what is beside.
_PLUGINS = "twisted.plugins.txmta_plugin"


def preloaded() -> list[str]:
    """
    @return: modules for the fork server. What is not among them each child
        would load for itself: 4 MB more in each, and not in a jail.
    """
    ours = (each.name for each in pkgutil.walk_packages(txmta.__path__, "txmta."))
    return [
        *preload.modules(),
        _PLUGINS,
        *(name for name in ours if not name.startswith(_APART)),
    ]


class _Child:
    """
    What the fork server calls in each child; and before, in itself.
    """

    _settings = -1

    def __call__(
        self, role: str, n: int, settings: int, fds: Mapping[str, int]
    ) -> NoReturn:
        # Master has no use for it.
        from txmta.build import load

        kit = Kit(
            ROLES,
            BLOCKING,
            confine_role,
            lambda configuration: log_target(configuration.settings),
            load,
            as_seen,
        )
        run(role, n, settings, fds, kit)

    def before(self, role: str, settings: int) -> None:
        """
        Do once what would cost each child 5 MB of its own: a page is copied as
        soon as somebody uses what is in it.
        """
        # What reads a configuration looks for plug-ins, too.
        if role == CHECK or self._is_known(settings):
            return
        # Open, so that no other has the same number.
        self._settings = os.dup(settings)
        try:
            configuration = unpack(os.dup(settings))
        except ConfigError:
            return  # the child says so
        configuration.files.close()
        remember(configuration.plugins)
        log_trouble()
        warm_up()
        needed(configuration.path)
        leave_to_children()

    def _is_known(self, settings: int) -> bool:
        if self._settings < 0:
            return False
        if os.path.sameopenfile(self._settings, settings):
            return True
        os.close(self._settings)
        self._settings = -1
        return False


child = _Child()


def plan(configuration: Configuration) -> list[Post]:
    """
    @return: which children there are to be.
    """
    each = several(configuration.settings)
    posts = {
        "qmgr": Post("qmgr", alone=True),
        "pickup": Post("pickup", alone=True),
        "smtp": Post("smtp", each),
        "local": Post("local", LOCALS),
        "smtpd": Post("smtpd", each, listens=True),
    }
    return [posts.get(role) or Post(role) for role in configuration.roles]


def several(settings: Settings) -> int:
    """
    @return: how many processes a role gets that may have several. Two roles
        may, and the queue manager works as much as either: with one process
        for each core they are in each other's way, and commit in smaller
        batches. On two cores one each relays 1,040 messages a second, two
        each 490, at 80 % of the CPU (one run after the other, beside other work).
    """
    return settings.processes_per_role or max(1, len(os.sched_getaffinity(0)) // 2)


def make_master(
    configuration: Configuration, reactor: Reactor, now: Callable[[], float]
) -> Master:
    """
    As L{make_service<txmta.start.make_service>}.
    """

    def stand(configuration: Configuration) -> Ground:
        unknown = {post.role for post in plan(configuration)} - {*ROLES, *BLOCKING}
        if unknown:
            raise ConfigError(
                [
                    f"process_model = multi: {', '.join(sorted(unknown))} cannot have "
                    "a process yet: write single"
                ]
            )
        ground = prepare(configuration)
        settings = configuration.settings
        names = (settings.myhostname, settings.syslog_name, os.getpid())
        log = MailLog(ground.target, reactor, now, reactor.callFromThread, names)
        public = {
            f"public:{name}": each.fileno() for name, each in ground.public.items()
        }
        # They stay open as long as we live.
        kept.extend(ground.public.values())
        # Of all configurations: sessions of earlier ones count.
        seats = {"seats:all": sealed(b"", "seats")}
        extras = {"qmgr": public, "smtpd": {**seats, "tally:all": fresh()}}
        return Ground(ground.lock, ground.sockets, log, extras)

    kept: list[object] = []
    arrangement = Arrangement(
        "txmta.multi:child",
        preloaded(),
        plan,
        stand,
        say_fatal,
        lambda error: end_start(error, configuration.settings),
    )
    return Master(arrangement, configuration, cast(Any, reactor))
