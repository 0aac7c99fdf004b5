"""
Restrictions by lists in the DNS: of bad clients and domains, of good ones.

Owns: who is looked for, what follows.
Knows nothing of: how lists are written (L{txmta.smtp.access.dns_lists}), texts of
replies (L{txmta.smtp.access.list_reply}).

Answers are kept by the resolver, for as long as the list says.

Sources: RFC 5782; Postfix C{smtpd/smtpd_check.c} (reject_rbl_addr, find_dnsxl_domain,
permit_dnswl_addr).

Errors: L{TableUnavailable<txmta.errors.TableUnavailable>} goes through. A list that
does not answer lists nobody, and the log says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from twisted.internet.defer import Deferred

from txmta.config.declare import to_words
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.model import Reply, Route
from txmta.search import search
from txmta.smtp.access.check import CLIENT, HELO, RECIPIENT, SENDER, Answer, Check
from txmta.smtp.access.dns_asking import Outcome, ask, begin, soon
from txmta.smtp.access.dns_lists import listable, read_site, reversed_address
from txmta.smtp.access.kinds import NEXT, PERMIT, Kind, Tools
from txmta.smtp.access.list_reply import Listed, make_reply
from txmta.smtp.access.restrictions import authorized, if_reject

#: Characters of the reasons that a list gives.
MAX_REASON = 500

#: Says who is looked for: a client's address, a name, or a mail address.
Whose = Callable[[Check], str | None]


def problems(settings: Settings, lists: Sequence[str]) -> list[str]:
    """
    @param lists: the parameters that are lists of restrictions.
    @return: what is wrong with DNS lists in them and in classes, one line each.
    """
    found = []
    for name in (*lists, *settings.smtpd_restriction_classes):
        for restriction, text in _named(settings, name):
            try:
                read_site(text)
            except ValueError as e:
                found.append(f"{name}: {restriction} {text}: {e}")
    return found


def _named(settings: Settings, name: str) -> Iterator[tuple[str, str]]:
    try:
        words = to_words(settings.text(name))
    except (KeyError, ValueError):
        return  # which others say
    names = {kind.name for kind in KINDS}
    for before, item in pairwise(words):
        if before.lower() in names:
            yield before, item


class _List:
    """
    One list, and who is looked for in it.
    """

    def __init__(self, tools: Tools, text: str, whose: Whose, subject: str) -> None:
        settings = tools.settings
        self._site = read_site(text)
        self._whose = whose
        self._subject = subject
        self._code = settings.maps_rbl_reject_code
        self._default = settings.default_rbl_reply
        self._maps = settings.rbl_reply_maps
        self._tables = [tools.open_table(item) for item in self._maps]

    def reject(self, check: Check) -> Answer | Deferred[Answer]:
        """
        Refuse who is listed.
        """
        return begin(self._reject(check)) if self._name(check) else NEXT

    def permit(self, check: Check) -> Answer | Deferred[Answer]:
        """
        Let in who is listed, but not everywhere.
        """
        return begin(self._permit(check)) if self._name(check) else NEXT

    def _name(self, check: Check) -> str:
        """
        @return: the name to ask for, or C{""}.
        """
        whose = self._whose(check)
        if not whose:
            return ""
        if self._whose is _address:
            try:
                return f"{reversed_address(whose)}.{self._site.domain}"
            except ValueError:
                return ""
        domain = whose.rpartition("@")[2]
        return f"{domain}.{self._site.domain}" if listable(domain) else ""

    async def _reject(self, check: Check) -> Answer:
        name = self._name(check)
        if await self._listed(check, name) is not Outcome.FOUND:
            return NEXT
        reason = await _reason(check, name)
        what = self._whose(check) or ""
        listed = Listed(self._site.domain, reason, what, self._subject)
        try:
            template = await self._template()
        except TableUnavailable:
            check.note(
                "warning",
                f'{self._maps[0]} lookup error for "{self._site.text}"',
            )
            return Reply(451, "4.3.5", "Server configuration error")
        default = self._default
        return make_reply(check, listed, self._code, template or default, default)

    async def _template(self) -> str | None:
        text, domain = self._site.text, self._site.domain
        keys = (text,) if text == domain else (text, domain)
        return await soon(search(self._tables, keys)) if self._tables else None

    async def _permit(self, check: Check) -> Answer:
        if check.stage == "RCPT" and check.recipient:
            route: Route = await soon(check.resolve())
            if not authorized(route):
                # Who is in a list may not relay.
                return NEXT
        outcome = await self._listed(check, self._name(check))
        if outcome is Outcome.FOUND:
            return PERMIT
        if outcome is Outcome.AGAIN:
            whose = self._whose(check) or ""
            words = "Service unavailable"
            reply = check.refuse(450, "4.7.1", words, whose, self._subject)
            return if_reject(check, reply)
        return NEXT

    async def _listed(self, check: Check, name: str) -> Outcome:
        found = await ask(check, name, "A")
        if found.outcome is Outcome.FOUND:
            listed = self._site.lists(found.records)
            return Outcome.FOUND if listed else Outcome.NONE
        if found.outcome in (Outcome.AGAIN, Outcome.POLICY):
            check.note("warning", f"{name}: RBL lookup error: {found.error(name, 'A')}")
            return Outcome.AGAIN
        return Outcome.NONE


async def _reason(check: Check, name: str) -> str:
    found = await ask(check, name, "TXT")
    texts = [str(text) for text in found.records]
    return " / ".join(texts[:MAX_REASON])[:MAX_REASON]


def _known(name: str) -> str | None:
    return None if name.lower() == "unknown" else name


def _address(check: Check) -> str:
    return check.session.client.address


def _client(check: Check) -> str | None:
    return _known(check.session.client.name)


def _reverse(check: Check) -> str | None:
    return _known(check.session.client.reverse_name)


def _reject(name: str, whose: Whose, subject: str) -> Kind:
    return Kind(
        name, "name", lambda tools, text: _List(tools, text, whose, subject).reject
    )


def _permit(name: str, whose: Whose, subject: str) -> Kind:
    return Kind(
        name, "name", lambda tools, text: _List(tools, text, whose, subject).permit
    )


KINDS: Sequence[Kind] = (
    _reject("reject_rbl_client", _address, CLIENT),
    _reject("reject_rbl", _address, CLIENT),
    _reject("reject_rhsbl_client", _client, CLIENT),
    _reject("reject_rhsbl_reverse_client", _reverse, f"Unverified {CLIENT}"),
    _reject("reject_rhsbl_helo", lambda check: check.session.helo, HELO),
    _reject("reject_rhsbl_sender", lambda check: check.said, SENDER),
    _reject("reject_rhsbl_recipient", lambda check: check.recipient, RECIPIENT),
    _permit("permit_dnswl_client", _address, CLIENT),
    _permit("permit_rhswl_client", _client, CLIENT),
)
