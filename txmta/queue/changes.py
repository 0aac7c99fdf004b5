"""
What an administrator does to messages, and in which words it is told.

Owns: which steps each change takes, where it looks for messages, which messages
    it concerns.
Knows nothing of: whether a server runs.

Sources: Postfix C{postsuper/postsuper.c}.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.model import QueuedMessage, QueueName

#: What the log says of a message, by step.
DONE = {
    "delete": "removed",
    "expire": "expired",
    "hold": "placed on hold",
    "release": "released from hold",
    "requeue": "requeued",
}

_ALL = (QueueName.INCOMING, QueueName.ACTIVE, QueueName.DEFERRED, QueueName.HOLD)

_USUAL = {"hold": _ALL[:3], "release": _ALL[3:]}


def steps(operation: str) -> Sequence[str]:
    """
    @param operation: one of L{CHANGES<txmta.queue.public_wire.CHANGES>}.
    @return: what is done one after the other; each is counted.
    """
    return ("expire", "release") if operation == "expire_release" else (operation,)


def queues(operation: str, named: Sequence[str]) -> Sequence[QueueName]:
    """
    @param named: names of queues, of which some are none of the store's;
        empty is the usual ones.
    @return: where messages are looked for.
    """
    if not named:
        return _USUAL.get(operation, _ALL)
    names = QueueName.__members__
    found = [names[n.upper()] for n in named if n.upper() in names]
    return [q for q in found if operation != "hold" or q is not QueueName.HOLD]


def concerns(step: str, message: QueuedMessage) -> bool:
    """
    Whether the step changes anything.
    """
    if step == "expire":
        return not message.expire
    if step == "release":
        return message.queue is QueueName.HOLD
    return True
