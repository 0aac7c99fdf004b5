"""
Limits on what one client does, as anvil(8) has them.

Owns: which events of a session are counted, and what a client hears that has too
    many of them; the largest rates, for the log.
Knows nothing of: where counts are kept (L{txmta.smtp.tally}), who is exempt.

Sources: Postfix C{smtpd/smtpd.c} (smtpd_client_*_limit), C{anvil/anvil.c},
anvil(8), TUNING_README.

Errors: none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from txmta.config.settings import Settings
from txmta.events import Note, Warn
from txmta.interfaces import IEventSink
from txmta.model import Client, Reply

#: Kinds of events: their column in the table, and their name in the log.
CONNECTION, MESSAGE, RECIPIENT, NEW_TLS, AUTH = range(5)
_NAMES = ("connection", "message", "recipient", "newtls", "auth")
_COUNT = "count"


class Counts(Protocol):
    """
    See L{Tally<txmta.smtp.tally.Tally>}.
    """

    def add(
        self, key: bytes, now: float, unit: float, which: int, more: int = 1
    ) -> int: ...

    def enter(
        self, key: bytes, now: float, unit: float, which: int
    ) -> tuple[int, int]: ...

    def leave(self, key: bytes, now: float, unit: float) -> None: ...


@dataclass(frozen=True)
class ClientLimits:
    """
    Of one client; 0 is no limit.

    @ivar count: smtpd_client_connection_count_limit.
    @ivar rates: smtpd_client_*_rate_limit, by kind of event.
    @ivar unit: anvil_rate_time_unit, in seconds.
    @ivar update: anvil_status_update_time, in seconds.
    """

    count: int = 50
    rates: tuple[int, ...] = (0, 0, 0, 0, 0)
    unit: float = 60.0
    update: float = 600.0

    @classmethod
    def of(cls, settings: Settings) -> ClientLimits:
        return cls(
            settings.smtpd_client_connection_count_limit,
            (
                settings.smtpd_client_connection_rate_limit,
                settings.smtpd_client_message_rate_limit,
                settings.smtpd_client_recipient_rate_limit,
                settings.smtpd_client_new_tls_session_rate_limit,
                settings.smtpd_client_auth_rate_limit,
            ),
            settings.anvil_rate_time_unit,
            settings.anvil_status_update_time,
        )

    def __bool__(self) -> bool:
        return bool(self.count or any(self.rates))


@dataclass(frozen=True)
class Where:
    """
    @ivar service: name in master.cf.
    @ivar hostname: myhostname.
    """

    service: str
    hostname: str


class Anvil:
    """
    Counts the clients of one service.
    """

    def __init__(
        self,
        counts: Counts,
        limits: ClientLimits,
        where: Where,
        clock: IReactorTime,
        sink: IEventSink,
    ) -> None:
        self.limits = limits
        self.where = where
        self._counts = counts
        self._clock = clock
        self._sink = sink
        self._largest: dict[str, tuple[int, str, float]] = {}
        self._since = clock.seconds()
        #: Wall time, for the log.
        self.now: Callable[[], float] = time.time

    def enter(self, client: Client, group: str) -> Reply | None:
        """
        A client connects.

        @param group: its address, or the network that counts as one client.
        @return: why it may not stay. L{leave} is due all the same.
        """
        limits, key = self.limits, self._key(group)
        rate, count = self._counts.enter(key, self._time(), limits.unit, CONNECTION)
        self._seen(_COUNT, count, group)
        self._seen(_NAMES[CONNECTION], rate, group)
        if 0 < limits.count < count:
            return self._too_many("Connection concurrency", count, client)
        if 0 < limits.rates[CONNECTION] < rate:
            return self._too_many("Connection rate", rate, client)
        return None

    def leave(self, group: str) -> None:
        """
        A client that entered is gone.
        """
        self._counts.leave(self._key(group), self._clock.seconds(), self.limits.unit)

    def _too_many(self, what: str, value: int, client: Client) -> Reply:
        self.warn(f"{what} limit exceeded: {value} from", client)
        words = f"Error: too many connections from {client.address}"
        return Reply(421, "4.7.0", f"{self.where.hostname} {words}")

    def warn(self, text: str, client: Client) -> None:
        """
        @param text: up to the client.
        """
        service = self.where.service
        self._sink.emit(Warn("smtpd", f"{text} {client.label} for service {service}"))

    def rate(self, which: int, group: str, more: int = 1) -> int:
        """
        Something else happened.

        @param which: kind of event.
        @param more: 0 to ask only.
        @return: how often, if there is a limit and it is exceeded; else 0.
        """
        limit = self.limits.rates[which]
        if not limit:
            return 0
        unit = self.limits.unit
        key = self._key(group)
        rate = self._counts.add(key, self._time(), unit, which, more)
        self._seen(_NAMES[which], rate, group)
        return rate if rate > limit else 0

    def _key(self, group: str) -> bytes:
        return f"{self.where.service}:{group}".encode("utf-8", "surrogateescape")

    # The largest values.

    def _seen(self, name: str, value: int, group: str) -> None:
        known = self._largest.get(name)
        if known is None or value > known[0]:
            self._largest[name] = (value, group, self.now())

    def _time(self) -> float:
        """
        @return: now; the largest values are logged when it is time, by the
            next event: who has none needs no timer.
        """
        now = self._clock.seconds()
        if not self._since <= now < self._since + self.limits.update:
            self.tell()
            self._since = now
        return now

    def tell(self) -> None:
        """
        Log the largest values since the last time.
        """
        largest, self._largest = self._largest, {}
        unit = f"/{round(self.limits.unit)}s"
        lines = [(_NAMES[0], "rate", unit), (_COUNT, "", "")]
        lines += [(name, "rate", unit) for name in _NAMES[1:]]
        for name, kind, per in lines:
            if name not in largest:
                continue
            value, group, when = largest[name]
            words = f"{name} {kind}" if kind else "connection count"
            stamp = time.ctime(when)[4:19]
            ident = f"{self.where.service}:{group}"
            text = f"statistics: max {words} {value}{per} for ({ident}) at {stamp}"
            self._sink.emit(Note("anvil", text))

    def stop(self) -> None:
        """
        The server stops.
        """
        self.tell()


class Meter:
    """
    Counts one session.
    """

    __slots__ = ("_anvil", "_group")

    def __init__(self, anvil: Anvil, group: str) -> None:
        self._anvil = anvil
        self._group = group

    def mail(self, client: Client) -> Reply | None:
        """
        @return: why MAIL is refused.
        """
        return self._refused(
            MESSAGE, "Message delivery request rate", "too much mail", client
        )

    def recipient(self, client: Client) -> Reply | None:
        """
        @return: why RCPT is refused.
        """
        return self._refused(
            RECIPIENT, "Recipient address rate", "too many recipients", client
        )

    def login(self, client: Client) -> Reply | None:
        """
        @return: why AUTH is refused.
        """
        return self._refused(
            AUTH, "AUTH command rate", "too many AUTH commands", client
        )

    def start_tls(self, client: Client) -> Reply | None:
        """
        @return: why STARTTLS is refused: the client made too many new TLS
            sessions.
        """
        if not self._anvil.rate(NEW_TLS, self._group, 0):
            return None
        self._anvil.warn("Refusing STARTTLS request from", client)
        words = f"Error: too many new TLS sessions from {client.label}"
        return Reply(454, "4.7.0", words)

    def new_tls(self, client: Client) -> Reply | None:
        """
        A TLS session that is not an old one.

        @return: why the client may not stay.
        """
        rate = self._anvil.rate(NEW_TLS, self._group)
        if not rate:
            return None
        self._anvil.warn(f"New TLS session rate limit exceeded: {rate} from", client)
        hostname = self._anvil.where.hostname
        words = f"{hostname} Error: too many new TLS sessions from {client.label}"
        return Reply(421, "4.7.0", words)

    def leave(self) -> None:
        """
        The session is over.
        """
        self._anvil.leave(self._group)

    def _refused(
        self, which: int, what: str, words: str, client: Client
    ) -> Reply | None:
        rate = self._anvil.rate(which, self._group)
        if not rate:
            return None
        self._anvil.warn(f"{what} limit exceeded: {rate} from", client)
        return Reply(450, "4.7.1", f"Error: {words} from {client.address}")
