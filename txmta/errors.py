"""
Every error that txmta raises on purpose.

One rule: an error says who can act on it. A remote refusal is not an error
but a value (L{txmta.model.Outcome}, L{txmta.model.Reply}); our own inability
is a L{MailError} and always means I{temporary}; a bug is neither, and is
never caught by code that catches a L{MailError}.
"""

from __future__ import annotations

from collections.abc import Sequence


class MailError(Exception):
    """
    Base of the errors below.
    """


class ConfigError(MailError):
    """
    A configuration that cannot be used: fatal at start, harmless at reload.

    @ivar problems: all that is wrong, one line each, ready to print: file,
        line, parameter, what is wrong, what to do.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class TableUnavailable(MailError):
    """
    A lookup table can say neither "found" nor "not found" just now.

    Always temporary: smtpd answers 451 4.3.0, the queue manager defers.
    Nobody may turn it into "not found", or a restarting database would
    bounce good mail.

    @ivar table: as written in main.cf, for example C{hash:/etc/aliases}.
    """

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"table {table}: {reason}")
        self.table = table
        self.reason = reason


class StoreUnavailable(MailError):
    """
    The queue store cannot take or give this just now.

    smtpd answers C{code status text}; the queue manager tries again.

    @ivar code: 451 or 452; never 5xx for a fault of ours.
    @ivar status: RFC 3463 code, 4.3.0 or 4.3.1.
    """

    def __init__(self, reason: str, code: int = 451, status: str = "4.3.0") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.status = status


class MessageDamaged(MailError):
    """
    A message in the queue does not match its checksum, or lacks its content.

    The queue manager moves it to C{corrupt} and tells the postmaster.
    """

    def __init__(self, queue_id: str, reason: str) -> None:
        super().__init__(f"{queue_id}: {reason}")
        self.queue_id = queue_id
        self.reason = reason


class AgentUnavailable(MailError):
    """
    No process is there that could deliver, or it ended while it did: the
    queue manager tries again. Says nothing about the transport.
    """


class ResolverUnavailable(MailError):
    """
    DNS can say neither "exists" nor "does not exist" just now.

    Always temporary. Its opposite, "does not exist", is an
    L{txmta.model.Answer} without records.
    """

    #: RFC 3463 code.
    status = "4.4.3"

    def __init__(self, name: str, kind: str, reason: str) -> None:
        super().__init__(
            f"Host or domain name not found. Name service error for name={name} "
            f"type={kind}: {reason}"
        )
        self.name = name
        self.kind = kind
        self.reason = reason


class BadReply(MailError):
    """
    A remote server sent something that is not SMTP. Deferred with 4.5.0.

    @ivar problem: what is wrong, in words for the log.
    @ivar octets: the start of what it sent, at most 80 octets.
    """

    def __init__(self, problem: str, octets: bytes) -> None:
        super().__init__(f"{problem}: {octets!r}")
        self.problem = problem
        self.octets = octets
