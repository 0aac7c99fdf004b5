"""
TLS of the SMTP client: contexts, handshakes, and what a certificate is worth.

Owns: one context for each kind of policy, sessions that can be resumed, the
    verdict on a server's certificate, the lines that the log has of it.
Knows nothing of: SMTP, which policy a server needs, parameters.

A handshake never fails for the sake of a certificate: it is judged afterwards
by the policy, as Postfix does, for at the level may none is good enough.

Sources: Postfix C{tls/tls_client.c}, C{tls/tls_verify.c}, C{smtp/smtp_proto.c}
(smtp_start_tls).

Errors: none; a server that is not trusted is a L{Trouble}.

@note: a verdict is kept with the session that it is about, under the whole of
    its policy: a library does not verify again what it resumes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from txmta.errors import ConfigError
from txmta.smtp import client_trouble as trouble
from txmta.smtp.client_certificate import Presented, Verdict, judge
from txmta.smtp.client_events import Target
from txmta.smtp.client_tls_policy import Policy
from txmta.smtp.client_tls_words import summary, told
from txmta.tls_context import Wanted, make_context, trust, use_chains
from txmta.tls_files import Chain, authorities
from txmta.tls_policy import ciphers, protocols

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL

#: Contexts, and sessions, that are kept; the oldest goes. Ours.
MAX_CONTEXTS = 100
MAX_SESSIONS = 1000

#: An error of OpenSSL: X509_V_ERR_UNSPECIFIED.
UNVERIFIED = 1


@dataclass(frozen=True)
class Material:
    """
    What all policies share. Files were read when it was made.

    @ivar lists: cipher lists by parameter.
    @ivar chains: what we show, if a server asks.
    @ivar authorities: whom we trust; C{anchors} by file, instead of them.
    @ivar depth: smtp_tls_scert_verifydepth.
    @ivar digest: smtp_tls_fingerprint_digest.
    @ivar multiple: tls_wildcard_matches_multiple_labels.
    @ivar session_time: seconds that a session can be resumed; 0: none is.
    """

    lists: Mapping[str, str]
    chains: Sequence[Chain] = ()
    authorities: Sequence[x509.Certificate] = ()
    anchors: Mapping[str, Sequence[x509.Certificate]] = field(default_factory=dict)
    curves: Sequence[str] = ()
    options: int = 0
    depth: int = 9
    digest: str = "sha256"
    multiple: bool = True
    session_time: float = 0


@dataclass(frozen=True, slots=True)
class Logging:
    """
    @ivar note: gets lines, C{warn} warnings.
    @ivar summary: one line for each handshake; C{peer}: what is in certificates.
    """

    note: Callable[[str], None]
    warn: Callable[[str], None]
    summary: bool = False
    peer: bool = False


@dataclass(slots=True)
class _Kept:
    session: object
    verdict: Verdict
    until: float


class ClientTls:
    """
    That of one agent.
    """

    def __init__(
        self,
        material: Material,
        logging: Logging,
        seconds: Callable[[], float],
        wrapper: bool = False,
    ) -> None:
        """
        @param seconds: monotonic time.
        @param wrapper: TLS comes before the first reply (smtp_tls_wrappermode).
        """
        self._anchors = dict(material.anchors)
        self.material = replace(material, anchors=self._anchors)
        self.logging = logging
        self.wrapper = wrapper
        self._seconds = seconds
        self._contexts: OrderedDict[object, SSL.Context] = OrderedDict()
        self._sessions: OrderedDict[object, _Kept] = OrderedDict()

    def start(self, policy: Policy, target: Target) -> TlsStart:
        """
        @param policy: of a level above none.
        """
        return TlsStart(self, policy, target)

    def load(self, path: str) -> None:
        """
        Have the authorities of a file that a policy names.

        @raise ConfigError: it cannot be read.
        """
        if path not in self._anchors:
            self._anchors[path] = authorities(path)

    def context(self, policy: Policy) -> SSL.Context:
        """
        @raise ConfigError: the library cannot do what is wanted.
        """
        own = policy.level.by_authority and policy.anchors
        key = (policy.protocols, policy.grade, policy.exclude, own or ())
        context = self._contexts.pop(key, None)
        if context is None:
            context = self._make(policy)
        self._contexts[key] = context
        if len(self._contexts) > MAX_CONTEXTS:
            self._contexts.popitem(last=False)
        return context

    def _make(self, policy: Policy) -> SSL.Context:
        material = self.material
        try:
            wanted = Wanted(
                protocols(policy.protocols),
                ciphers(policy.grade, material.lists, policy.exclude),
                material.curves,
                material.options,
            )
        except ValueError as e:
            raise ConfigError([str(e)]) from e
        context = make_context(wanted, server=False)
        use_chains(context, material.chains)
        if not (policy.level.by_authority and policy.anchors):
            trust(context, material.authorities)
        context.set_verify_depth(material.depth)
        # Sessions are ours to keep: the library does not know what is trusted.
        context.set_session_cache_mode(0)  # SSL_SESS_CACHE_OFF
        return context

    def recall(self, key: object) -> _Kept | None:
        """
        @return: what was kept, if it still holds.
        """
        kept = self._sessions.get(key)
        if kept is not None and kept.until <= self._seconds():
            del self._sessions[key]
            return None
        return kept

    def keep(self, key: object, session: object, verdict: Verdict) -> None:
        """
        Remember a session for the next connection.
        """
        if session is None or not self.material.session_time:
            return
        until = self._seconds() + self.material.session_time
        self._sessions.pop(key, None)
        self._sessions[key] = _Kept(session, verdict, until)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def forget(self, key: object) -> None:
        """
        A session that did not help.
        """
        self._sessions.pop(key, None)


@implementer(IOpenSSLClientConnectionCreator)
class TlsStart:
    """
    One handshake.

    @ivar verdict: when it is done.
    """

    def __init__(self, tls: ClientTls, policy: Policy, target: Target) -> None:
        self.policy = policy
        self.wrapper = tls.wrapper
        self.verdict: Verdict | None = None
        self._tls = tls
        self._target = target
        # Until the library has verified anything, nothing is trusted.
        self._errors = [UNVERIFIED]
        self._verified = False
        self._kept: _Kept | None = None
        self._key = (policy, target.address, target.port)
        self._context = tls.context(policy)

    @property
    def required(self) -> bool:
        """
        Nothing is said in clear text.
        """
        return self.policy.level.required

    @property
    def verified(self) -> bool:
        """
        The server is who it should be.
        """
        return self.verdict is not None and self.verdict.matched

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """
        See L{IOpenSSLClientConnectionCreator}.
        """
        from OpenSSL import SSL

        connection = SSL.Connection(self._context, None)
        connection.set_verify(SSL.VERIFY_PEER, self._step)
        if self.policy.servername:
            connection.set_tlsext_host_name(self.policy.servername.encode("idna"))
        self._kept = self._tls.recall(self._key)
        if self._kept is not None:
            session: Any = self._kept.session
            connection.set_session(session)
        return connection

    def _step(
        self, connection: object, certificate: object, error: int, depth: int, ok: int
    ) -> bool:
        """
        Called for each step of a verification: all is noted, none fails.
        """
        if not self._verified:
            self._verified = True
            self._errors.clear()
        if error:
            self._errors.append(error)
        return True

    def completed(self, connection: SSL.Connection) -> trouble.Trouble | None:
        """
        The handshake is done.

        @return: why the server must not be trusted, if so.
        """
        from OpenSSL._util import lib

        handle: Any = connection
        resumed = lib.SSL_session_reused(handle._ssl) == 1
        if resumed and self._kept is not None:
            verdict = replace(self._kept.verdict, resumed=True)
        else:
            chain = connection.get_peer_cert_chain(as_cryptography=True) or ()
            presented = Presented(tuple(chain), tuple(self._errors))
            verdict = judge(presented, self.policy, self._tls.material)
        self.verdict = verdict
        self._log(connection, verdict)
        return self._problem(verdict)

    def _problem(self, verdict: Verdict) -> trouble.Trouble | None:
        level = self.policy.level
        if not level.matched or verdict.matched:
            return None
        if not verdict.trusted:
            return trouble.NOT_TRUSTED
        return trouble.NOT_VERIFIED

    def remember(self, connection: SSL.Connection) -> None:
        """
        A while after the handshake, when what can be resumed has come.
        """
        if self.verdict is not None:
            verdict = replace(self.verdict, resumed=False)
            self._tls.keep(self._key, connection.get_session(), verdict)

    def broke(self, why: str, library: Sequence[str] = ()) -> None:
        """
        There was no handshake.

        @param why: C{"lost connection"}, C{"-1"}.
        @param library: what it says.
        """
        self._tls.forget(self._key)
        logging = self._tls.logging
        logging.note(f"SSL_connect error to {self._target.relay}: {why}")
        for each in library:
            logging.warn(f"TLS library problem: {each}")

    def _log(self, connection: SSL.Connection, verdict: Verdict) -> None:
        logging, label = self._tls.logging, self._target.relay
        if verdict.problem and self.policy.level.matched:
            logging.note(verdict.problem.format(label))
        if logging.peer:
            for each in told(verdict):
                logging.note(f"{label}: {each}")
        if logging.summary:
            logging.note(summary(connection, verdict, label))
