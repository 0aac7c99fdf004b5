"""
A portal of twisted.cred as who knows the passwords.

Owns: which of our mechanisms the portal's checkers are good for; credentials.
Knows nothing of: SMTP, checkers, avatars.

Sources: twisted.cred.portal, twisted.cred.credentials, twisted.cred.strcred.

Errors: L{CannotSay<txmta.smtp.sasl.questions.CannotSay>} for anything that a checker
or a realm raises but C{UnauthorizedLogin}.

@note: a checker is asked in the reactor's thread: one that takes long must take
    care of that itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from twisted.cred import strcred
from twisted.cred.credentials import (
    IUsernameHashedPassword,
    IUsernamePassword,
    UsernamePassword,
)
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.mail.smtp import IMessageDelivery, IMessageDeliveryFactory
from zope.interface import Interface, implementer

from txmta.smtp.sasl.mechanisms import properties
from txmta.smtp.sasl.moves import Facts, Mechanism
from txmta.smtp.sasl.questions import (
    CannotSay,
    Digest,
    IKeeper,
    Known,
    Password,
    Question,
    Reply,
)

_log = Logger()


@implementer(IUsernameHashedPassword)
class HashedPassword:
    """
    What a client answered to a challenge of CRAM-MD5.
    """

    def __init__(self, question: Digest) -> None:
        self.username = question.username.encode()
        self._challenge = question.challenge
        self._digest = question.digest

    def checkPassword(self, password: bytes | str) -> bool:
        secret = password.encode() if isinstance(password, str) else password
        made = hmac.new(secret, self._challenge, "md5").hexdigest()
        return hmac.compare_digest(made, self._digest)


class INobodyInParticular(Interface):
    """
    What L{Names} gives avatars for.
    """


@implementer(IRealm)
class Names:
    """
    A realm for checkers that only tell who somebody is.
    """

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: Any) -> Any:
        return interfaces[0], None, lambda: None


@implementer(IKeeper)
class PortalKeeper:
    """
    One portal.
    """

    def __init__(self, portal: Portal, realm: str = "", *interfaces: Any) -> None:
        """
        @param realm: smtpd_sasl_local_domain.
        @param interfaces: that avatars are asked to provide.
        """
        self._portal = portal
        self._realm = realm
        self._interfaces = interfaces or (IMessageDeliveryFactory, IMessageDelivery)

    def offers(self, facts: Facts) -> Sequence[Mechanism]:
        known: Any = self._portal.listCredentialsInterfaces()
        names: list[str] = []
        if any(each.isOrExtends(IUsernamePassword) for each in known):
            names += ["PLAIN", "LOGIN"]
        if any(each.isOrExtends(IUsernameHashedPassword) for each in known):
            names.append("CRAM-MD5")
        return [properties(name) for name in names]

    def ask(self, question: Question) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._answer(question))

    def stop(self) -> None:
        pass

    async def _answer(self, question: Question) -> Reply:
        if not isinstance(question, Password | Digest):
            return None  # not offered
        name = question.username
        if self._realm and "@" not in name:
            name = f"{name}@{self._realm}"
        credentials: Any
        if isinstance(question, Digest):
            credentials = HashedPassword(question)
            credentials.username = name.encode()
        else:
            credentials = UsernamePassword(name.encode(), question.password.encode())
        try:
            _interface, avatar, logout = await maybeDeferred(
                self._portal.login, credentials, None, *self._interfaces
            )
        except UnauthorizedLogin:
            return None
        except Exception as e:
            _log.failure("a portal raised an error")
            raise CannotSay("the portal raised an error") from e
        return Known(name, avatar, logout)


def checker(path: str) -> Any:
    """
    @return: the checker of a plug-in.
    @raise ValueError: there is none.
    """
    try:
        return strcred.makeChecker(path)
    except strcred.InvalidAuthType:
        known = sorted({each.authType for each in strcred.findCheckerFactories()})
        raise ValueError(
            f"no plug-in makes such a checker: write one of {', '.join(known)}, a "
            "colon, and its argument"
        ) from None
    except Exception as e:
        raise ValueError(f"the checker cannot be made: {e}") from None


def keeper(path: str, realm: str) -> PortalKeeper:
    """
    @return: what C{smtpd_sasl_type = cred} asks.
    """
    portal = Portal(Names(), [checker(path)])
    return PortalKeeper(portal, realm, INobodyInParticular)
