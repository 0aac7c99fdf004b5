"""
The queue manager, and what tells the postmaster of trouble.

Owns: what both are made from.
Knows nothing of: where deliveries are made; agents may be in this process or
    in another.

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from txmta.cleanup.dates import mail_date
from txmta.cleanup.internal import complete, internal_head
from txmta.interfaces import IDeliveryAgent, IQueueStore, IWorkElsewhere
from txmta.queue.manager import QueueManager
from txmta.queue.parts import QueueParts
from txmta.queue.postmaster import Postmaster
from txmta.roles.agents import transports
from txmta.roles.cleanup import make_mapper
from txmta.roles.names import sink_of_deliveries
from txmta.roles.shared import Shared, Tables


def queue_parts(
    shared: Shared,
    tables: Tables,
    store: IQueueStore,
    agents: Mapping[str, IDeliveryAgent],
    elsewhere: IWorkElsewhere | None = None,
) -> QueueParts:
    """
    @param agents: by service; looked at when a message is dispatched.
    @param elsewhere: what agents in other processes have in hand.
    """
    settings = shared.settings
    most = settings.default_process_limit
    cleanup = shared.of_program("cleanup", settings.cleanup_service_name)
    mapper = make_mapper(cleanup, shared.sink, tables)
    return QueueParts(
        store,
        tables.addresses,
        agents,
        {
            s.name: most if s.maxproc is None else s.maxproc
            for s in transports(shared.services)
        },
        settings,
        shared.reactor,
        shared.now,
        shared.sink,
        mail_date,
        partial(internal_head, settings=settings),
        partial(complete, settings=settings),
        elsewhere,
        mapper.internal if mapper else None,
    )


def make_manager(shared: Shared, parts: QueueParts) -> QueueManager:
    """
    @return: not started; its C{startService} wants an open store.
    """
    sink = sink_of_deliveries(shared, transports(shared.services))
    own = shared.of_program("qmgr", shared.settings.queue_service_name)
    return QueueManager(replace(parts, settings=own, sink=sink))


def make_postmaster(shared: Shared, tables: Tables, store: IQueueStore) -> Postmaster:
    """
    @return: tells the postmaster by a message in the queue, from a process
        that delivers none.
    """
    return Postmaster(queue_parts(shared, tables, store, {}))
