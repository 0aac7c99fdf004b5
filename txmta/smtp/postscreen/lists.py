"""
DNS lists, asked all at once about one client.

Owns: which have answered, and what that comes to.
Knows nothing of: what a score means.

Sources: Postfix C{postscreen/postscreen_dnsbl.c}, C{dnsblog/dnsblog.c}.

Errors: none: a list that cannot be asked says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from txmta.errors import MailError, TableUnavailable
from txmta.interfaces import IResolver, ITable
from txmta.model import Answer
from txmta.smtp.access.dns_lists import Site, reversed_address
from txmta.smtp.postscreen.effects import Score


class Lists:
    """
    All of postscreen_dnsbl_sites.
    """

    def __init__(
        self,
        resolver: IResolver,
        sites: Sequence[Site],
        clock: IReactorTime,
        timeout: float,
        names: Sequence[ITable] = (),
    ) -> None:
        """
        @param timeout: postscreen_dnsbl_timeout, seconds.
        @param names: postscreen_dnsbl_reply_map.
        """
        self._resolver = resolver
        self._sites = sites
        self._clock = clock
        self._timeout = timeout
        self._names = names

    def ask(self, address: str, done: Callable[[], None]) -> Inquiry:
        """
        @param done: called when all have answered, perhaps at once.
        """
        inquiry = Inquiry(self._sites, self.name, done)
        domains = {site.domain for site in self._sites}
        inquiry.open = len(domains)
        prefix = reversed_address(address)
        for domain in domains:
            self._ask(f"{prefix}.{domain}", domain, inquiry)
        return inquiry

    def _ask(self, name: str, domain: str, inquiry: Inquiry) -> None:
        try:
            answer = self._resolver.lookup(name, "A")
        except MailError:
            inquiry.answered(domain, None)
            return
        if not isinstance(answer, Deferred):
            inquiry.answered(domain, answer)
            return
        answer.addTimeout(self._timeout, self._clock)
        answer.addCallbacks(
            lambda found: inquiry.answered(domain, found),
            lambda _failure: inquiry.answered(domain, None),
        )

    def name(self, domain: str) -> str:
        """
        @return: what clients are told.
        """
        for table in self._names:
            try:
                found = table.lookup(domain)
            except TableUnavailable:
                continue
            if isinstance(found, str):
                return found
            if found is not None:
                # It takes too long, and the name may be a secret.
                found.addErrback(lambda _failure: None)
                return "a DNS list"
        return domain


class Inquiry:
    """
    @ivar open: lists that have not answered.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        name: Callable[[str], str],
        done: Callable[[], None],
    ) -> None:
        self._sites = sites
        self._name = name
        self._done = done
        self.open = 0
        self._answers: dict[str, Answer] = {}

    def answered(self, domain: str, answer: Answer | None) -> None:
        if answer is not None:
            self._answers[domain] = answer
        self.open -= 1
        if not self.open:
            self._done()

    def score(self) -> Score:
        """
        @return: of those that have answered.
        """
        score, most, name = 0, 0, ""
        for site in self._sites:
            answer = self._answers.get(site.domain)
            if answer is None or not site.lists(map(str, answer.records)):
                continue
            score += site.weight
            if site.weight > most:
                most, name = site.weight, site.domain
        ttls = [answer.ttl for answer in self._answers.values()]
        return Score(score, self._name(name) if name else "", min(ttls, default=0.0))
