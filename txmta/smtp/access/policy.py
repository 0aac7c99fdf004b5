"""
The restriction lists of main.cf, ready to be asked.

Owns: the order of lists, what permits and refusals do to them, what a table that
    cannot be asked means.
Knows nothing of: what single restrictions say, sessions, replies to other commands.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_rcpt, generic_checks);
SMTPD_ACCESS_README.

Errors: none; a table that cannot be asked is 451.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.model import Reply
from txmta.smtp.access.check import Answer, Check, Codes, Restriction, Verdict
from txmta.smtp.access.restrictions import (
    CLOSING,
    RESTRICTIONS,
    reject_unlisted_recipient,
    warned,
)

#: What local_header_rewrite_clients may list, besides C{type:table}.
ORIGIN = (
    *("permit_inet_interfaces", "permit_mynetworks", "permit_sasl_authenticated"),
    "check_address_map",
)

_TLS_ORIGIN = ("permit_tls_clientcerts", "permit_tls_all_clientcerts")

_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")


def codes(settings: Settings) -> Codes:
    """
    @return: the reply codes of main.cf.
    """
    return Codes(
        reject=settings.reject_code,
        defer=settings.defer_code,
        relay=settings.relay_domains_reject_code,
        local=settings.unknown_local_recipient_reject_code,
        relay_recipient=settings.unknown_relay_recipient_reject_code,
        virtual_mailbox=settings.unknown_virtual_mailbox_reject_code,
        virtual_alias=settings.unknown_virtual_alias_reject_code,
        show_table=settings.show_user_unknown_table_name,
    )


def validate_restrictions(settings: Settings) -> list[str]:
    """
    @return: what is wrong with the restriction lists, one line each, with what
        to do; a server must not start if there is anything.
    """
    problems: list[str] = []
    closed = False
    for name in _LISTS:
        items = [word.lower() for word in getattr(settings, name)]
        closed = closed or any(
            item in CLOSING and (i == 0 or items[i - 1] != "warn_if_reject")
            for i, item in enumerate(items)
        )
        problems += [
            problem
            for item in items
            if item != "warn_if_reject"
            and (problem := _unknown(name, item, tuple(RESTRICTIONS)))
        ]
        if items and items[-1] == "warn_if_reject":
            problems.append(f"{name}: warn_if_reject needs a restriction after it")
    if not closed:
        problems.append(
            f"{_LISTS[0]}, {_LISTS[1]}: anybody could relay: specify at least one "
            "working instance of: reject_unauth_destination, "
            "defer_unauth_destination, reject, defer or defer_if_permit"
        )
    return problems + _origin_problems(settings)


def _origin_problems(settings: Settings) -> list[str]:
    name = "local_header_rewrite_clients"
    items = settings.local_header_rewrite_clients
    problems: list[str] = []
    for item, after in pairwise((*items, "")):
        if ":" in item:
            continue
        if item.lower() in _TLS_ORIGIN:
            problems.append(f"{name}: {item}: is not supported yet: remove it")
        elif item.lower() == "check_address_map" and ":" not in after:
            problems.append(f"{name}: {item} needs type:table after it")
        elif problem := _unknown(name, item.lower(), ORIGIN):
            problems.append(problem)
    return problems


def _unknown(parameter: str, item: str, known: Sequence[str]) -> str:
    if item in known:
        return ""
    near = difflib.get_close_matches(item, known, 1)
    hint = f"did you mean {near[0]}?" if near else "remove it"
    return f"{parameter}: {item}: no such restriction here; {hint}"


def compiled(items: Sequence[str]) -> tuple[Restriction, ...]:
    """
    @param items: of a list that L{validate_restrictions} likes.
    """
    steps: list[Restriction] = []
    warn = False
    for item in items:
        if item.lower() == "warn_if_reject":
            warn = True
            continue
        step = RESTRICTIONS[item.lower()]
        steps.append(warned(step) if warn else step)
        warn = False
    return tuple(steps)


class Policy:
    """
    What is asked at RCPT.
    """

    def __init__(self, lists: Sequence[Sequence[str]], unlisted: bool) -> None:
        """
        @param lists: asked one after the other; a permit ends a list, a
            refusal ends it all.
        @param unlisted: smtpd_reject_unlisted_recipient.
        """
        self._lists = [steps for items in lists if (steps := compiled(items))]
        if unlisted:
            self._lists.append((reject_unlisted_recipient,))

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        relay = settings.smtpd_relay_restrictions
        recipient = settings.smtpd_recipient_restrictions
        first = settings.smtpd_relay_before_recipient_restrictions
        return cls(
            (relay, recipient) if first else (recipient, relay),
            settings.smtpd_reject_unlisted_recipient
            and "no_unknown_recipient_checks" not in settings.receive_override_options,
        )

    def judge(self, check: Check) -> Reply | Deferred[Reply | None] | None:
        """
        @return: why the recipient is refused.
        """
        try:
            answer = self._from(check, 0, 0)
        except TableUnavailable:
            return _unavailable(check)
        if answer is not None and isinstance(answer, Deferred):
            return answer.addErrback(lambda failure: _table(check, failure))
        return answer

    def _from(
        self, check: Check, which: int, step: int
    ) -> Reply | Deferred[Reply | None] | None:
        lists = self._lists
        while which < len(lists):
            steps = lists[which]
            while step < len(steps):
                answer = steps[step](check)
                step += 1
                if answer is Verdict.NEXT:
                    continue
                if answer is Verdict.PERMIT:
                    break
                if isinstance(answer, Deferred):
                    return self._later(check, answer, which, step)
                return _refused(check, answer)
            which, step = which + 1, 0
        return check.if_permit

    def _later(
        self, check: Check, answer: Deferred[Answer], which: int, step: int
    ) -> Deferred[Reply | None]:
        def go_on(answer: Answer) -> Reply | Deferred[Reply | None] | None:
            if answer is Verdict.NEXT:
                return self._from(check, which, step)
            if answer is Verdict.PERMIT:
                return self._from(check, which + 1, 0)
            return _refused(check, answer)

        return answer.addCallback(go_on)


def _refused(check: Check, answer: Answer | Deferred[Answer]) -> Reply:
    assert isinstance(answer, Reply), "neither permitted nor undecided"
    if check.if_reject is not None and answer.code >= 500:
        return check.if_reject
    return answer


def _unavailable(check: Check) -> Reply:
    return check.reply(451, "4.3.0", "Temporary lookup failure")


def _table(check: Check, failure: Failure) -> Reply:
    failure.trap(TableUnavailable)
    return _unavailable(check)
