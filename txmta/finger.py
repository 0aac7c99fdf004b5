"""
C{posttls-finger}: which TLS a server has, and whether it is the right server.

Owns: the options, the lines of the conversation, the order of trials.
Knows nothing of: how TLS is done or judged; that is the SMTP client's.

Sources: posttls-finger(1) of Postfix.

Errors: what cannot be tried at all is one line C{fatal:}, exit status 1.
"""

# Over budget: one command, whose options and lines are a long list.

from __future__ import annotations

import getopt
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python.failure import Failure

from txmta.config.main_cf import read_main_cf
from txmta.config.settings import Settings
from txmta.config.system import this_machine
from txmta.delivery.lmtp import LmtpLookup, lmtp_nexthop
from txmta.delivery.smtp import dial_rules, lookup_rules
from txmta.delivery.smtp_dane import Dane
from txmta.delivery.smtp_hosts import Destination, numeric, parse_nexthop
from txmta.delivery.smtp_lookup import HostLookup
from txmta.delivery.smtp_tls_settings import defaults, read_material
from txmta.dns.exchange import Network
from txmta.dns.resolver import Resolver
from txmta.dns.udp import QuietUDP
from txmta.errors import ConfigError
from txmta.smtp.client import ClientConnection
from txmta.smtp.client_dial import Dialled, Dialler
from txmta.smtp.client_events import Target
from txmta.smtp.client_recording import Unrecorded
from txmta.smtp.client_tls import ClientTls, Logging, TlsStart
from txmta.smtp.client_tls_level import LEVELS, Level
from txmta.smtp.client_tls_policy import BadPolicy, Policy, Site, complete, named
from txmta.smtp.client_tls_words import one_line
from txmta.smtp.client_trouble import Trouble
from txmta.tls_files import fingerprint

if TYPE_CHECKING:
    from OpenSSL import SSL

USAGE = (
    "usage: posttls-finger [-acCfSvw] [-a family] [-A tafile] [-d mdalg] [-F CAfile] "
    "[-g grade] [-h host_lookup] [-H chainfiles] [-k certfile] [-K keyfile] "
    "[-l level] [-L logopts] [-m count] [-o name=value] [-p protocols] [-P CApath] "
    "[-r delay] [-s servername] [-t timeout] [-T timeout] destination [match ...]"
)

#: getopt(3).
OPTIONS = "a:A:cCd:fF:g:h:H:k:K:l:L:m:o:p:P:r:s:St:T:vwX"

#: Options that stand for a parameter.
_PARAMETERS = {
    "-d": ("smtp_tls_fingerprint_digest",),
    "-F": ("smtp_tls_CAfile",),
    "-g": ("smtp_tls_ciphers", "smtp_tls_mandatory_ciphers"),
    "-h": ("smtp_host_lookup",),
    "-H": ("smtp_tls_chain_files",),
    "-k": ("smtp_tls_cert_file",),
    "-K": ("smtp_tls_key_file",),
    "-p": ("smtp_tls_protocols", "smtp_tls_mandatory_protocols"),
    "-P": ("smtp_tls_CApath",),
    "-s": ("smtp_tls_servername",),
    "-t": ("smtp_connect_timeout",),
    "-T": ("smtp_helo_timeout", "smtp_starttls_timeout"),
}

#: Seconds for a server to say goodbye.
PATIENCE = 5.0


@dataclass
class Wish:
    """
    What was asked for.
    """

    destination: str = ""
    match: tuple[str, ...] = ()
    level: Level = Level.DANE
    chat: bool = True
    chain: bool = False
    lmtp: bool = False
    wrapper: bool = False
    summary: bool = True
    peer: bool = True
    delay: float | None = None
    times: int = 5
    parameters: dict[str, str] = field(default_factory=dict)


class UsageError(Exception):
    """
    Options that mean nothing.
    """


def say(text: str) -> None:
    """
    One line of the log.
    """
    print(f"posttls-finger: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    @return: exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        wish = read_options(given)
    except (getopt.GetoptError, UsageError) as e:
        say(f"fatal: {e}; {USAGE}")
        return 1
    try:
        _run(wish, read_settings(wish))
    except ConfigError as e:
        say(f"fatal: {'; '.join(e.problems)}")
        return 1
    except (BadPolicy, ValueError) as e:
        say(f"fatal: {e}")
        return 1
    return 0


def read_options(arguments: Sequence[str]) -> Wish:
    """
    @raise UsageError: they cannot be understood.
    """
    wish = Wish()
    options, rest = getopt.getopt(list(arguments), OPTIONS)
    anchors: list[str] = []
    for option, value in options:
        if option in _PARAMETERS:
            wish.parameters.update(dict.fromkeys(_PARAMETERS[option], value))
        elif option == "-A":
            anchors.append(value)
        elif option == "-o":
            name, equals, text = value.partition("=")
            if not equals:
                raise UsageError(f"{value}: write name=value")
            wish.parameters[name.strip()] = text.strip()
        else:
            _option(wish, option, value)
    if anchors:
        wish.parameters["smtp_tls_trust_anchor_file"] = " ".join(anchors)
    if not rest:
        raise UsageError("no destination")
    wish.destination, wish.match = rest[0], tuple(rest[1:])
    return wish


def _option(wish: Wish, option: str, value: str) -> None:
    if option == "-c":
        wish.chat = False
    elif option == "-C":
        wish.chain = True
    elif option == "-S":
        wish.lmtp = True
    elif option == "-w":
        wish.wrapper = True
    elif option == "-f":
        wish.parameters["smtp_tls_force_insecure_host_tlsa_lookup"] = "yes"
    elif option == "-a":
        if value not in ("ipv4", "ipv6", "any"):
            raise UsageError(f"bad '-a' option value: {value}")
        wish.parameters["smtp_address_preference"] = value
    elif option == "-l":
        if value.lower() not in LEVELS:
            raise UsageError(f"bad '-l' option value: {value}")
        wish.level = LEVELS[value.lower()]
    elif option == "-L":
        words = value.lower().replace(",", " ").split()
        wish.peer = bool(
            {"certmatch", "peercert", "verbose", "2", "debug"} & set(words)
        )
        wish.summary = bool({"1", "2", "routine", "summary", "debug"} & set(words))
    elif option in ("-r", "-m"):
        if not value.isdigit():
            raise UsageError(f"bad '{option}' option value: {value}")
        if option == "-r":
            wish.delay = float(value)
        else:
            wish.times = int(value)


def read_settings(wish: Wish) -> Settings:
    """
    @return: those of main.cf, with what was asked for.
    @raise ConfigError: they cannot be used.
    """
    folder = os.environ.get("MAIL_CONFIG", "/etc/postfix")
    path = os.path.join(folder, "main.cf")
    definitions = read_main_cf(path).definitions if os.path.exists(path) else {}
    overrides = {"smtp_dns_support_level": "dnssec", **wish.parameters}
    return Settings(definitions, this_machine()).override(overrides, "posttls-finger")


def _run(wish: Wish, settings: Settings) -> None:
    reactor = EPollReactor()
    # TLS of Twisted sends by the one that is installed.
    installReactor(reactor)
    results: list[object] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(Finger(wish, settings, reactor).run())
        done.addBoth(results.append)
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    for result in results:
        if isinstance(result, Failure):
            result.raiseException()


class _Chat(Unrecorded):
    """
    Shows what is said, and knows when it is over.
    """

    def __init__(self, wish: Wish) -> None:
        self.over: Deferred[None] = Deferred()
        self.target: Target | None = None
        self._chat = wish.chat

    def said(self, octets: bytes) -> None:
        self._show(">", octets)

    def heard(self, octets: bytes) -> None:
        self._show("<", octets)

    def tell(self) -> None:
        if not self.over.called:
            self.over.callback(None)

    def _show(self, sign: str, octets: bytes) -> None:
        if self._chat:
            if self.target is not None:
                say(f"Connected to {self.target.relay}")
                self.target = None
            for line in octets.decode("ascii", "replace").splitlines():
                say(f"{sign} {''.join(c if c.isprintable() else '?' for c in line)}")


class _Start(TlsStart):
    """
    Looks at all servers, and turns none away.
    """

    chain = False

    def completed(self, connection: SSL.Connection) -> Trouble | None:
        """
        See L{TlsStart.completed}.
        """
        super().completed(connection)
        if self.chain:
            _print_chain(connection, self._tls.material.digest)
        return None


def _print_chain(connection: SSL.Connection, digest: str) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    print("\n---\nCertificate chain")
    chain = connection.get_peer_cert_chain(as_cryptography=True) or []
    for number, each in enumerate(chain):
        key = each.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        print(f"{number:2} subject: {one_line(each.subject)}")
        print(f"    issuer: {one_line(each.issuer)}")
        print(f"   cert digest={fingerprint(each.public_bytes(Encoding.DER), digest)}")
        print(f"   pkey digest={fingerprint(key, digest)}")
        print(each.public_bytes(Encoding.PEM).decode("ascii"), end="", flush=True)


class _Dialler(Dialler):
    """
    Connects, and shows the conversation.
    """

    chat: _Chat

    def record(self, connection: ClientConnection) -> None:
        """
        See L{Dialler.record}.
        """
        connection.recording = self.chat


class Finger:
    """
    One destination.
    """

    def __init__(self, wish: Wish, settings: Settings, reactor: Any) -> None:
        """
        @raise ConfigError: what was asked for cannot be done.
        """
        self._wish = wish
        self._settings = settings
        self._reactor = reactor
        self._resolver = Resolver(Network(QuietUDP(reactor), reactor, reactor))
        material = read_material(settings, str, time.time())
        if wish.delay is not None:
            material = replace(material, session_time=3600)
        logging = Logging(say, _warn, wish.summary, wish.peer)
        self._tls = ClientTls(material, logging, reactor.seconds, wish.wrapper)

    async def run(self) -> None:
        """
        Try the destination, once or, with C{-r}, several times.
        """
        wish = self._wish
        destination = self._destination()
        found = await self._lookup().find(destination)
        if found.trouble is not None:
            say(f"Destination address lookup failed: {found.trouble.reason}")
            return
        for target in found.targets:
            if await self._probe(destination, target):
                if wish.delay is not None and wish.times > 1:
                    await self._pause(wish.delay)
                    await self._probe(destination, target)
                return

    def _destination(self) -> Destination:
        parse: Callable[[str, int], Destination] = parse_nexthop
        if self._wish.lmtp:
            parse = lmtp_nexthop
        return parse(
            self._wish.destination.removeprefix("inet:"), 24 if self._wish.lmtp else 25
        )

    def _lookup(self) -> HostLookup:
        rules = lookup_rules(self._settings, random.shuffle, None)
        # Nor do we mind if it is ourselves.
        rules = replace(rules, order=replace(rules.order, own=()))
        kind = LmtpLookup if self._wish.lmtp else HostLookup
        if self._wish.lmtp:
            rules = replace(rules, mx=False)
        return kind(self._resolver, rules, _warn)

    async def _policy(
        self, destination: Destination, target: Target
    ) -> Policy | Trouble:
        wish, settings = self._wish, self._settings
        level = wish.level
        general = replace(defaults(settings), level=level)
        if level.dane:
            dane = Dane(settings, self._resolver, _warn)
            policy = complete(Site(level), general)
            found = await dane.apply(policy, destination, target)
            if isinstance(found, Trouble):
                return found
            if found.level > Level.ENCRYPT:
                return named(found, destination.host, target.host)
            # Without usable records it is the other way of knowing a server.
            level = Level.SECURE
        if wish.match and not level.matched:
            _warn(f"TLS level '{level.word}' does not implement certificate matching")
        match = wish.match if level.matched else ()
        if level is Level.FINGERPRINT and not match:
            match = settings.smtp_tls_fingerprint_cert_match or ("none",)
        return named(
            complete(Site(level, match=match), general), destination.host, target.host
        )

    async def _probe(self, destination: Destination, target: Target) -> bool:
        """
        @return: whether there was a session.
        """
        policy = await self._policy(destination, target)
        if isinstance(policy, Trouble):
            say(f"Failed to establish session to {target.relay}: {policy.reason}")
            return False
        start = None
        if policy.level:
            start = _Start(self._tls, policy, target)
            start.chain = self._wish.chain
        dialler = _Dialler(
            self._reactor,
            self._reactor,
            dial_rules(self._settings, self._wish.lmtp),
            _warn,
        )
        dialler.chat = chat = _Chat(self._wish)
        chat.target = target
        dialled: Dialled = await dialler.dial(target, destination.text, None, start)
        if not isinstance(dialled, ClientConnection):
            shown = destination.text
            if numeric(target.address):
                shown += f" via {target.host}"
            say(f"Failed to establish session to {shown}: {dialled.trouble.reason}")
            return dialled.tls
        if start is not None and dialled.tls_begun:
            handle: Any = dialled.transport
            start.remember(handle.getHandle())
        await self._goodbye(dialled, chat)
        return True

    async def _goodbye(self, connection: ClientConnection, chat: _Chat) -> None:
        connection.quit()
        chat.over.addTimeout(PATIENCE, self._reactor)
        chat.over.addErrback(lambda failure: None)
        await chat.over

    async def _pause(self, seconds: float) -> None:
        pause: Deferred[None] = Deferred()
        self._reactor.callLater(seconds, pause.callback, None)
        await pause


def _warn(text: str) -> None:
    say(f"warning: {text}")


if __name__ == "__main__":
    sys.exit(main())
