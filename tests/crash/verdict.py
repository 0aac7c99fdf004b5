"""
Was the promise kept?

Owns: what counts as lost, torn and doubled.
Knows nothing of: servers, disks, faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.crash.mails import Arrivals, Mail, body_hash

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
    """

    lost: list[str]
    torn: list[str]
    repeated: list[str]
    doubled: int = 0

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
    whole = {mail.name: body_hash(mail.content) for mail in sent}
    verdict = Verdict([], [], [])
    for (name, recipient), copies in arrived.copies.items():
        what = f"{name or 'nameless'} for {recipient}"
        verdict.torn += [what for copy in copies if copy != whole.get(name)]
        verdict.doubled += len(copies) > 1
        if len(copies) > COPIES:
            verdict.repeated.append(f"{what}: {len(copies)} times")
    for mail in promised.values():
        for recipient in mail.recipients:
            if (mail.name, recipient) not in arrived.copies:
                verdict.lost.append(f"{mail.name} for {recipient}")
    return verdict
