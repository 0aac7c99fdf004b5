"""
The restriction lists of main.cf, ready to be asked.

Owns: which lists are asked at which stage, in which order, what permits and
    refusals do to them, what a table that cannot be asked means.
Knows nothing of: what single restrictions say, sessions, replies to other commands.

Sources: Postfix C{smtpd/smtpd_check.c} (smtpd_check_rcpt, generic_checks);
SMTPD_ACCESS_README.

Errors: none; a table that cannot be asked is 451.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred

from txmta.config.settings import Settings
from txmta.model import Reply
from txmta.smtp.access.check import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Check,
    Codes,
    Step,
    Tracer,
    World,
)
from txmta.smtp.access.compiler import Compiler
from txmta.smtp.access.judgement import Judgement, Part
from txmta.smtp.access.kinds import Tools
from txmta.smtp.access.restrictions import (
    reject_unlisted_recipient,
    reject_unlisted_sender,
)


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


#: Lists by name: subject, and what a table alone stands for.
LISTS: Mapping[str, tuple[str, str]] = {
    "smtpd_client_restrictions": (CLIENT, "check_client_access"),
    "smtpd_helo_restrictions": (HELO, "check_helo_access"),
    "smtpd_sender_restrictions": (SENDER, "check_sender_access"),
    "smtpd_relay_restrictions": (RECIPIENT, "check_recipient_access"),
    "smtpd_recipient_restrictions": (RECIPIENT, "check_recipient_access"),
    "smtpd_data_restrictions": ("Data command", ""),
    "smtpd_end_of_data_restrictions": ("End-of-data", ""),
    "smtpd_etrn_restrictions": ("Etrn command", "check_etrn_access"),
}

_UNLISTED_SENDER = (Step("reject_unlisted_sender", "", reject_unlisted_sender),)
_UNLISTED = (Step("reject_unlisted_recipient", "", reject_unlisted_recipient),)
_LAST = Part("", (), RECIPIENT, fresh=False, last=True)


class Policy:
    """
    What is asked at each stage of a session.

    @ivar at_mail: there is something to ask at MAIL, C{at_data} at DATA,
        C{at_end} when a message is complete.
    """

    def __init__(self, stages: Mapping[str, Sequence[Part]]) -> None:
        """
        @param stages: what is asked, one after the other; a permit ends a list,
            a refusal ends it all. C{"EHLO"} is C{"HELO"}, C{"BDAT"} is C{"DATA"}
            and C{"VRFY"} is C{"RCPT"}.
        """
        self._stages = dict(stages)
        for name, other in (("EHLO", "HELO"), ("BDAT", "DATA"), ("VRFY", "RCPT")):
            self._stages[name] = self._stages.get(other, ())
        self.at_mail = self.asks("MAIL")
        self.at_data = self.asks("DATA")
        self.at_end = self.asks("END-OF-MESSAGE")

    @classmethod
    def of(cls, settings: Settings, tools: Tools | None = None) -> Policy:
        """
        @param tools: L{None}: no list names tables.
        """
        if tools is None:
            # Nothing that is made without tables needs a world.
            tools = Tools(settings, World(None, None, ()))  # type: ignore[arg-type]
        compiler = Compiler(tools)

        def part(name: str, fresh: bool = True) -> list[Part]:
            subject, default = LISTS[name]
            steps = compiler.steps(getattr(settings, name), default)
            return [Part(name, steps, subject, default, fresh)] if steps else []

        client = part("smtpd_client_restrictions")
        helo = part("smtpd_helo_restrictions")
        sender = part("smtpd_sender_restrictions")
        if settings.smtpd_reject_unlisted_sender:
            sender.append(Part("", _UNLISTED_SENDER, SENDER, fresh=False))
        relay = part("smtpd_relay_restrictions")
        recipient = part("smtpd_recipient_restrictions")
        first = settings.smtpd_relay_before_recipient_restrictions
        both = [*relay, *recipient] if first else [*recipient, *relay]
        both = [replace(each, fresh=i == 0) for i, each in enumerate(both)]
        both.append(_LAST)
        if settings.smtpd_reject_unlisted_recipient and (
            "no_unknown_recipient_checks" not in settings.receive_override_options
        ):
            both.append(Part("", _UNLISTED, RECIPIENT, fresh=False))
        etrn = [*part("smtpd_etrn_restrictions"), _LAST]
        stages = {
            "DATA": part("smtpd_data_restrictions"),
            "END-OF-MESSAGE": part("smtpd_end_of_data_restrictions"),
        }
        stages = {n: [*parts, _LAST] if parts else [] for n, parts in stages.items()}
        if settings.smtpd_delay_reject:
            stages["RCPT"] = [*client, *helo, *sender, *both]
            stages["ETRN"] = [*client, *helo, *etrn]
        else:
            stages.update(CONNECT=client, HELO=helo, MAIL=sender)
            stages.update(RCPT=both, ETRN=etrn)
        return cls(stages)

    def asks(self, stage: str) -> bool:
        """
        @return: there is something to ask then.
        """
        return bool(self._stages.get(stage))

    def judge(
        self, check: Check, tracer: Tracer | None = None
    ) -> Reply | Deferred[Reply | None] | None:
        """
        @param tracer: watches.
        @return: why it is refused.
        """
        check.tracer = tracer
        return Judgement(check, self._stages.get(check.stage, ())).go()
