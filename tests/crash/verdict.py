"""
Was the promise kept?

Owns: what counts as lost, torn and doubled.
Knows nothing of: servers, disks, faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.crash.mails import NOTICE, Arrivals, Mail, body_hash

#: Copies of one message for one recipient that one fault may cause: an
#: attempt that was not recorded is made again.
COPIES = 2


@dataclass
class Verdict:
    """
    @ivar lost: recipients of promised messages who got nothing.
    @ivar torn: what arrived and is no whole message that was sent.
    @ivar repeated: recipients with more copies than a fault explains.
    @ivar doubled: how many got a second copy.
    @ivar begun: copies that end too early, in places where a killed writer
        leaves such, and that can be taken for nothing else.
    """

    lost: list[str]
    torn: list[str]
    repeated: list[str]
    doubled: int = 0
    begun: int = 0

    @property
    def kept(self) -> bool:
        return not (self.lost or self.torn or self.repeated)

    def __str__(self) -> str:
        return f"lost {self.lost}, torn {self.torn}, repeated {self.repeated}"


def judge(
    sent: Iterable[Mail], promised: Mapping[str, Mail], arrived: Arrivals
) -> Verdict:
    """
    @param sent: all that the client tried to send.
    @param promised: by Message-ID, what was answered with 250.
    @param arrived: at all destinations.
    """
    mails = {mail.name: mail for mail in sent}
    whole = {mail.name: body_hash(mail.content) for mail in mails.values()}
    verdict = Verdict([], [], [])
    got: set[tuple[str, str]] = set()
    begun: Counter[str] = Counter()
    for (name, place), copies in arrived.copies.items():
        what = f"{name or 'nameless'} for {place}"
        good = [copy for copy in copies if copy in (whole.get(name), NOTICE)]
        cut = [copy for copy in copies if (name, place, copy) in arrived.begun]
        begun[place] += len([copy for copy in cut if copy not in good])
        verdict.torn += [what for copy in copies if copy not in (*good, *cut)]
        if name in mails and place not in mails[name].places:
            verdict.torn.append(f"{what}, where it does not belong")
        if good:
            got.add((name, place))
        verdict.doubled += len(good) > 1
        if len(good) > COPIES:
            verdict.repeated.append(f"{what}: {len(good)} times")
    verdict.begun = begun.total()
    verdict.torn += [f"{n} pieces in {each}" for each, n in begun.items() if n > 1]
    for mail in promised.values():
        for place in mail.places:
            if (mail.name, place) not in got:
                verdict.lost.append(f"{mail.name} for {place}")
    return verdict
