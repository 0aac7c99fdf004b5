"""
What a mechanism asks whoever knows the passwords.

Owns: these values, and the interface of who answers them.
Knows nothing of: mechanisms, where passwords are.

Sources: RFC 4616, 2195, 5802, 7628, 4422 appendix A: what each mechanism must
know.

Errors: L{CannotSay}, for trouble that will pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zope.interface import Interface

from txmta.smtp.sasl.moves import Facts, Mechanism

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class CannotSay(Exception):
    """
    Nobody can say whether a client is who it says it is, for now.
    """


@dataclass(frozen=True, slots=True)
class Password:
    """
    Is this the password? Answered with L{Known} or L{None}.
    """

    username: str
    password: str = ""

    def __repr__(self) -> str:
        return f"Password({self.username!r}, ...)"


@dataclass(frozen=True, slots=True)
class Digest:
    """
    Is this the HMAC-MD5 of C{challenge} with the password? Answered likewise.
    """

    username: str
    challenge: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Answered with L{StoredKeys}, of somebody who does not exist, too.
    """

    username: str


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """
    What a server keeps for SCRAM (RFC 5802 section 3).

    @ivar real: there is such a user.
    """

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int
    real: bool = True

    def __repr__(self) -> str:
        return "StoredKeys(...)"


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    Whose certificate did the client show? Answered with L{Known} or L{None}.

    @ivar username: who the client says it is, or C{""}.
    """

    username: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Token:
    """
    Whose bearer token is this (RFC 6750)? Answered with L{Known} or L{None}.

    @ivar username: who the client says it is, or C{""}.
    """

    username: str
    token: str

    def __repr__(self) -> str:
        return f"Token({self.username!r}, ...)"


@dataclass(frozen=True, slots=True)
class Known:
    """
    @ivar username: as it counts from now on.
    @ivar avatar: as in L{txmta.smtp.sasl.moves.Done}; C{logout} too.
    """

    username: str
    avatar: object = None
    logout: object = None


Question = Password | Digest | Keys | Certificate | Token
Reply = Known | StoredKeys | None


class IKeeper(Interface):
    """
    Whoever knows the passwords; the mechanisms are ours.
    """

    def offers(facts: Facts) -> Sequence[Mechanism]:
        """
        @return: mechanisms whose questions it can answer.
        """

    def ask(question: Question) -> Reply | Deferred[Reply]:
        """
        @raise CannotSay: or fails with it.
        """

    def stop() -> object:
        """
        The server stops.
        """
