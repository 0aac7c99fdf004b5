"""
Listening sockets for another configuration, beside those that are open.

Owns: which are kept, which are new.
Knows nothing of: who listens, and when what is not wanted any more is closed.

Errors: L{ConfigError<txmta.errors.ConfigError>} with each address that cannot
be had; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.master.binding import Bound, bind_all
from txmta.master.sockets import Listen


def bind_again(
    wanted: Sequence[Listen], have: Sequence[Bound]
) -> tuple[Sequence[Bound], Sequence[Bound]]:
    """
    @param have: open.
    @return: all sockets that are wanted now, and those of them that are new.
    """
    open_ = {_address(each.listen): each.socket for each in have}
    new = bind_all(
        [each for each in wanted if _address(each) not in open_], [*open_.values()]
    )
    kept = [
        Bound(each, open_[_address(each)]) for each in wanted if _address(each) in open_
    ]
    return (*kept, *new), new


def _address(listen: Listen) -> tuple[str, int]:
    return listen.host, listen.port
