"""
The queue manager's numbers, out of the settings.

Owns: which parameter becomes which field.
Knows nothing of: how the numbers are used.

Errors: C{ValueError} for the text of a family parameter that only a
transport's name makes known; L{check} finds them all before start.
"""

from __future__ import annotations

from collections.abc import Iterable

from txmta.config.settings import Settings
from txmta.queue.backoff import Backoff
from txmta.queue.destination import Feedback, Limits

#: master.cf's maxproc C{-} of a delivery agent, unless the caller knows
#: default_process_limit.
DEFAULT_PROCESS_LIMIT = 100


def backoff(settings: Settings) -> Backoff:
    """
    @return: when to try again.
    """
    return Backoff(
        settings.minimal_backoff_time,
        settings.maximal_backoff_time,
        settings.maximal_queue_lifetime,
        min(settings.bounce_queue_lifetime, settings.maximal_queue_lifetime),
    )


def limits(settings: Settings, transport: str, processes: int) -> Limits:
    """
    @param transport: service name in master.cf.
    @param processes: its maxproc; 0 is no limit.
    """

    def count(suffix: str) -> int:
        return max(settings.transport_count(transport, suffix), 0)

    def feedback(sign: str) -> Feedback:
        return Feedback.parse(
            settings.of_transport(transport, f"destination_concurrency_{sign}_feedback")
        )

    return Limits(
        initial=max(count("initial_destination_concurrency"), 1),
        concurrency=count("destination_concurrency_limit"),
        positive=feedback("positive"),
        negative=feedback("negative"),
        failed_cohorts=count("destination_concurrency_failed_cohort_limit"),
        recipients=count("destination_recipient_limit"),
        destination_delay=settings.transport_time(transport, "destination_rate_delay"),
        transport_delay=settings.transport_time(transport, "transport_rate_delay"),
        processes=processes,
        dead_time=settings.minimal_backoff_time,
        retry_time=settings.transport_retry_time,
    )


def check(settings: Settings, transports: Iterable[str]) -> list[str]:
    """
    @return: what is wrong with the families of parameters, one line each.
    """
    problems = []
    for transport in transports:
        try:
            limits(settings, transport, 0)
        except ValueError as e:
            problems.append(f"transport {transport}: {e}")
    return problems
