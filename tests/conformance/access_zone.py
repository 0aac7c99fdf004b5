"""
What the name servers of the world said when Postfix's tests of restrictions were
made, as far as their transcripts tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from txmta.errors import ResolverUnavailable
from txmta.interfaces import IResolver
from txmta.model import Answer, Mx

#: By name in lower case and kind: the records; L{None}: nobody could say. A name
#: that is nowhere here does not exist.
ZONE: Mapping[tuple[str, str], Sequence[object] | None] = {
    ("2.0.0.127.dnsbltest.porcupine.org", "A"): ("127.0.0.2",),
    ("2.0.0.127.dnsbltest.porcupine.org", "TXT"): ("DNS blocklist test",),
    ("3.0.0.127.dnsbltest.porcupine.org", "A"): ("127.0.0.3",),
    ("3.0.0.127.dnsbltest.porcupine.org", "TXT"): ("DNS blocklist test",),
    ("example.tld.rhsbl.porcupine.org", "A"): ("127.0.0.2",),
    ("example.tld.rhsbl.porcupine.org", "TXT"): ("RHSBL test",),
    ("spike.porcupine.org", "A"): ("168.100.3.2",),
    ("porcupine.org", "MX"): (Mx(10, "spike.porcupine.org"),),
    ("porcupine.org", "NS"): ("spike.porcupine.org",),
    ("nullmx.porcupine.org", "MX"): (Mx(0, ""),),
}


@implementer(IResolver)
class Zone:
    """
    A resolver that knows L{ZONE}.
    """

    def __init__(self, zone: Mapping[tuple[str, str], Sequence[object] | None]) -> None:
        self._zone = zone
        self._names = {name for name, _ in zone}

    def lookup(self, name: str, kind: str) -> Answer | Deferred[Answer]:
        key = name.lower().rstrip(".")
        records = self._zone.get((key, kind), ())
        if records is None:
            raise ResolverUnavailable(name, kind, "try again")
        return Answer(tuple(records), exists=key in self._names)  # type: ignore[arg-type]
