"""
What the crash tests share: folders, fast servers, two at a time.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.forked import ForkServer
from tests.crash.site import Site
from tests.interop.running import require_owner
from tests.support import require

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

#: Runs at a time. They wait for the disk more than they compute.
AT_ONCE = 1 + (os.cpu_count() or 1)


class CrashCase(SynchronousTestCase):
    """
    @ivar folder: that C{mail_owner} can read.
    @ivar forks: for fast starts.
    """

    timeout = 7200

    def setUp(self) -> None:
        require("strace")
        require_owner()
        self.folder = Path(tempfile.mkdtemp(prefix="txmta-crash-"))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.forks = ForkServer()
        self.addCleanup(self.forks.close)
        self._numbers = itertools.count(1)

    @contextmanager
    def site(self, make: type[Site] = Site) -> Iterator[Site]:
        """
        @return: a new one, which is gone afterwards.
        """
        folder = self.folder / str(next(self._numbers))
        site = make(folder, forks=self.forks)
        try:
            yield site
        finally:
            site.close()
            shutil.rmtree(folder, ignore_errors=True)

    def in_parallel(
        self, run: Callable[[*_Ts], _T], all_of: Sequence[tuple[*_Ts]]
    ) -> Iterator[tuple[tuple[*_Ts], _T]]:
        """
        @return: each of them, and what the call with it returned.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            yield from zip(
                all_of, threads.map(lambda each: run(*each), all_of), strict=True
            )
