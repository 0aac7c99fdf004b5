"""
What an SMTP server and whoever knows the passwords say to each other.

Owns: these values and interfaces.
Knows nothing of: SMTP, mechanisms, where passwords are.

Sources: RFC 4422 (SASL), RFC 4954; Postfix C{xsasl/xsasl.h}.

Errors: none; who cannot say answers L{Failed} with C{temporary}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from txmta.smtp.session import Session

#: The longest user name, in octets: longer ones are nobody's.
MAX_USERNAME = 320

#: Postfix's word for a failure of which nothing else is to be said.
NOT_VALID = "authentication failure"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """
    @ivar name: C{"PLAIN"}, in upper case.
    @ivar properties: C{"plaintext"}, C{"anonymous"}, C{"active"},
        C{"dictionary"} are weak points, C{"forward-secrecy"} and
        C{"mutual-auth"} strong ones.
    """

    name: str
    properties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    The client is to answer this.
    """

    octets: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """
    @ivar username: who it is.
    @ivar avatar: what a portal gave, or L{None}.
    @ivar logout: to be called at the end, or L{None}.
    """

    username: str
    avatar: object = None
    logout: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """
    @ivar reason: for the client and the log; or C{""}.
    @ivar username: who it said it is, or L{None} if it did not.
    @ivar temporary: nobody could say.
    """

    reason: str = NOT_VALID
    username: str | None = None
    temporary: bool = False


Move = Challenge | Done | Failed


def _no_binding(name: str) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What a backend may want to know.

    @ivar session: what is known of it.
    @ivar local: our address and port, or C{("", 0)}.
    @ivar binding: gives the channel binding of a name (C{"tls-exporter"}), or
        L{None}: there is none (RFC 5929, RFC 9266).
    """

    session: Session
    local: tuple[str, int] = ("", 0)
    binding: Callable[[str], bytes | None] = _no_binding


class ISaslExchange(Interface):
    """
    One attempt to log in.
    """

    def step(response: bytes | None) -> Move | Deferred[Move]:
        """
        @param response: of the client; L{None}: it sent none with the name of
            the mechanism.
        """

    def abort() -> None:
        """
        The client gives up, or is gone. Called once, unless the last move ended
        the attempt.
        """


class ISaslBackend(Interface):
    """
    Whoever knows the passwords.
    """

    def mechanisms(facts: Facts) -> Sequence[Mechanism] | Deferred[Sequence[Mechanism]]:
        """
        @return: that can be used in this session, in the order in which they are
            offered; none: nobody can log in now.
        """

    def start(mechanism: str, facts: Facts) -> ISaslExchange:
        """
        @param mechanism: one of these.
        """

    def stop() -> object:
        """
        The server stops.
        """
