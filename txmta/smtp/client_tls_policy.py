"""
What TLS a message needs on its way out.

Owns: the levels, the syntax of smtp_tls_policy_maps and smtp_tls_per_site, which
    keys are looked up, what a site's policy changes of the general one.
Knows nothing of: tables, DNS, a TLS library, files.

Sources: postconf(5), TLS_README; Postfix C{smtp/smtp_tls_policy.c}.

Errors: L{BadPolicy}: mail waits until it is corrected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from txmta.address import valid_domain
from txmta.smtp.client_dane import Tlsa
from txmta.smtp.client_tls_level import LEVELS, Level
from txmta.tls_policy import GRADES, protocols


class BadPolicy(Exception):
    """
    A policy that cannot be used. Its text is for the log.
    """


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What is demanded of one server. Two connections may stand for each other only
    if theirs are equal.

    @ivar protocols: words of smtp_tls_protocols.
    @ivar grade: of ciphers.
    @ivar exclude: ciphers.
    @ivar match: names, C{.domain} for all below; or one of L{NAMES}.
    @ivar fingerprints: of certificates or keys, C{AB:CD}.
    @ivar anchors: files with authorities that count instead of the usual ones.
    @ivar servername: for SNI; C{hostname}, C{nexthop}, a name, or C{""}.
    @ivar reuse: a connection may carry several messages.
    @ivar tlsa: records that the certificate must match.
    """

    level: Level = Level.NONE
    protocols: tuple[str, ...] = ()
    grade: str = ""
    exclude: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    servername: str = ""
    reuse: bool = False
    tlsa: tuple[Tlsa, ...] = ()


#: Words that stand for names.
NAMES = ("hostname", "nexthop", "dot-nexthop")


@dataclass(frozen=True, slots=True)
class Defaults:
    """
    What main.cf says, for sites whose own policy does not.

    @ivar lists: by name of a parameter without C{smtp_tls_}.
    """

    level: Level
    protocols: tuple[str, ...] = (">=TLSv1",)
    mandatory_protocols: tuple[str, ...] = (">=TLSv1",)
    grade: str = "medium"
    mandatory_grade: str = "medium"
    exclude: tuple[str, ...] = ()
    mandatory_exclude: tuple[str, ...] = ()
    verify_match: tuple[str, ...] = ("hostname",)
    secure_match: tuple[str, ...] = ("nexthop", "dot-nexthop")
    fingerprints: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    servername: str = ""
    reuse: bool = False


@dataclass(slots=True)
class Site:
    """
    A policy as it was written; what it does not say is L{None}.
    """

    level: Level
    protocols: tuple[str, ...] | None = None
    grade: str | None = None
    exclude: tuple[str, ...] | None = None
    match: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()
    servername: str | None = None
    reuse: bool | None = None


def keys(nexthop: str) -> Iterable[str]:
    """
    @param nexthop: as it was routed to, C{[host]:port}, C{example.com}.
    @return: what smtp_tls_policy_maps is asked for, in order.
    """
    yield nexthop
    if valid_domain(nexthop):
        at = nexthop.find(".")
        while at >= 0:
            yield nexthop[at:]
            at = nexthop.find(".", at + 1)


_SPLIT = re.compile(r"[ \t\r\n,]+")


def parse(text: str) -> Site:
    """
    @param text: what smtp_tls_policy_maps has for a site.
    @raise BadPolicy: not ignored, even in part: it would weaken what is asked.
    """
    words = [word for word in _SPLIT.split(text) if word]
    if not words:
        raise BadPolicy("invalid empty policy")
    level = LEVELS.get(words[0].lower())
    if level is None:
        raise BadPolicy(f'invalid security level "{words[0]}"')
    site = Site(level)
    if level is Level.NONE:
        return site
    seen: set[str] = set()
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadPolicy(f'malformed attribute/value pair "{word}"')
        name = name.lower()
        if name in seen and name not in ("match", "tafile", "connection_reuse"):
            raise BadPolicy(f'attribute "{name}" is specified multiple times')
        seen.add(name)
        if not value and name != "exclude":
            raise BadPolicy(f'attribute "{name}" has empty value')
        _attribute(site, name, value)
    return site


def ignored(text: str) -> list[str]:
    """
    @return: attributes of a policy that asks for no TLS, which mean nothing.
    """
    words = [word for word in _SPLIT.split(text) if word]
    return words[1:] if words and words[0].lower() == "none" else []


def _attribute(site: Site, name: str, value: str) -> None:
    if name == "ciphers":
        if value.lower() not in GRADES:
            raise BadPolicy(f'invalid cipher grade: "{value}"')
        site.grade = value
    elif name == "protocols":
        try:
            protocols([value])
        except ValueError as e:
            raise BadPolicy(f"invalid protocol list: {e}") from e
        site.protocols = (value,)
    elif name == "exclude":
        site.exclude = (value,)
    elif name == "servername":
        if value not in ("hostname", "nexthop") and not valid_domain(value):
            raise BadPolicy(f'"servername={value}" specifies an invalid hostname')
        site.servername = value
    elif name == "match":
        if site.level is Level.FINGERPRINT:
            site.match += tuple(part for part in value.split("|") if part)
        elif site.level.by_authority:
            site.match += tuple(part for part in value.split(":") if part)
        else:
            raise _misplaced(site, name)
    elif name == "tafile":
        if not site.level.by_authority:
            raise _misplaced(site, name)
        site.anchors += (value,)
    elif name == "connection_reuse":
        if value.lower() not in ("yes", "no"):
            raise BadPolicy(f'attribute "{name}" has bad value: "{value}"')
        site.reuse = value.lower() == "yes"
    elif name not in _REPORTED:
        raise BadPolicy(f'invalid attribute name: "{name}"')


#: What resolvers of MTA-STS policies tell for reports (RFC 8460).
_REPORTED = frozenset(
    (
        *("policy_type", "policy_domain", "policy_string", "policy_ttl"),
        *("policy_failure", "mx_host_pattern"),
    )
)


def _misplaced(site: Site, name: str) -> BadPolicy:
    word = site.level.word
    return BadPolicy(f'attribute "{name}" invalid at security level "{word}"')


#: smtp_tls_per_site.
_SITE_WORDS = {
    "NONE": Level.NONE,
    "MAY": Level.MAY,
    "MUST_NOPEERMATCH": Level.ENCRYPT,
    "MUST": Level.VERIFY,
}


def per_site(
    general: Level, nexthop: str | None, host: str | None
) -> tuple[Level, bool]:
    """
    @param nexthop: what smtp_tls_per_site has for it; C{host} likewise.
    @return: the level, and whether a site decided it.
    @raise BadPolicy: there is no such word.
    """
    found: Level | None = None
    for text in (nexthop, host):
        if text is None:
            continue
        level = _SITE_WORDS.get(text.upper())
        if level is None:
            raise BadPolicy(f"unknown TLS policy '{text}'")
        if level is Level.NONE:
            # It weighs more than "may", less than all that demands something.
            found = level if found is None or found is Level.MAY else found
        elif level is Level.MAY:
            found = level if found is None else found
        else:
            found = max(level, found or level)
    if found is None:
        return general, False
    if found is Level.MAY and general > Level.MAY:
        return general, True
    return found, True


def complete(site: Site, defaults: Defaults) -> Policy:
    """
    @return: with main.cf's values where the site says nothing.
    @raise BadPolicy: the level fingerprint, and nothing to match.
    """
    level = site.level
    if level is Level.NONE:
        return Policy()
    must = level.required
    chosen = defaults.mandatory_protocols if must else defaults.protocols
    grade = defaults.mandatory_grade if must else defaults.grade
    exclude = defaults.exclude if site.exclude is None else site.exclude
    if must:
        exclude += defaults.mandatory_exclude
        exclude += ("eNULL",) if level is Level.ENCRYPT else ("aNULL",)
    policy = Policy(
        level,
        chosen if site.protocols is None else site.protocols,
        site.grade or grade,
        exclude,
        servername=(
            defaults.servername if site.servername is None else site.servername
        ),
        reuse=defaults.reuse if site.reuse is None else site.reuse,
    )
    if level is Level.FINGERPRINT:
        found = site.match or defaults.fingerprints
        if not found:
            raise BadPolicy(
                "configured at fingerprint security level, but with no fingerprints "
                "to match"
            )
        return replace(policy, fingerprints=tuple(each.upper() for each in found))
    if level.by_authority:
        general = (
            defaults.verify_match if level is Level.VERIFY else defaults.secure_match
        )
        match = site.match or _parts(general)
        return replace(policy, match=match, anchors=site.anchors or defaults.anchors)
    return policy


def _parts(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for word in words for part in word.split(":") if part)


def named(policy: Policy, nexthop: str, host: str) -> Policy:
    """
    @param nexthop: without brackets and port.
    @return: with names instead of the words for them.
    """
    stands = {"hostname": host, "nexthop": nexthop, "dot-nexthop": f".{nexthop}"}
    match = tuple(stands.get(each.lower(), each) for each in policy.match)
    servername = stands.get(policy.servername, policy.servername)
    return replace(policy, match=match, servername=servername)
