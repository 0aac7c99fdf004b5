"""
From define() of sendmail.mc to parameters of main.cf.

Owns: the options that are more than a name and a value.
Knows nothing of: the others (L{txmta.admin.import_sendmail_options}), how m4 is
    read.

Sources: Sendmail's cf/README; Postfix's postconf(5).

Errors: none; each option that cannot be carried over is said.
"""

from __future__ import annotations

import re

from txmta.admin.import_sendmail_mailertable import SMTP_MAILERS
from txmta.admin.import_sendmail_options import DEFINES, define_value
from txmta.admin.import_sendmail_plan import Plan, Source, hops


class Defines:
    """
    All of one sendmail.mc.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def define(self, source: Source, name: str, value: str) -> None:
        if name == "SMART_HOST":
            self.smart_host(source, value)
        elif name == "MAIL_HUB":
            target = _hub(value)
            if not target:
                self._plan.lost(source, "not understood: see local_transport")
                return
            self._plan.set(source, "local_transport", target, "aliases are not asked")
        elif name == "LUSER_RELAY":
            self._luser(source, value)
        elif name == "ALIAS_FILE":
            self._aliases(source, value)
        elif name == "confPRIVACY_FLAGS":
            self._privacy(source, value)
        elif name.startswith("_"):
            self._plan.carried(source, "nothing to do")
        elif name in DEFINES:
            self._option(source, name, value)
        else:
            self._plan.lost(source, "no counterpart is known")

    def _option(self, source: Source, name: str, value: str) -> None:
        how = DEFINES[name]
        if how.why:
            self._plan.lost(source, how.why)
            return
        if not how.parameters:
            self._plan.carried(source, "nothing to do")
            return
        made = define_value(how.kind, value)
        if not made:
            self._plan.lost(source, f"{value}: not understood")
            return
        for parameter in how.parameters:
            self._plan.set_raw(source, parameter, made, how.note)

    def smart_host(self, source: Source, value: str) -> None:
        target = _hub(value)
        transport, _, hosts = target.partition(":")
        if not target:
            self._plan.lost(source, f"{value}: not understood: see relayhost")
        elif transport in ("smtp", "relay"):
            self._plan.set(source, "relayhost", hosts)
        else:
            self._plan.set(source, "default_transport", target)

    def _luser(self, source: Source, value: str) -> None:
        target = _hub(value)
        user = define_value("address", value.removeprefix("local:"))
        if value.startswith("local:") and user:
            self._plan.set(source, "luser_relay", user)
        elif target:
            self._plan.set(source, "fallback_transport", target)
        else:
            self._plan.lost(source, "not understood: see fallback_transport")
            return
        self._plan.values["local_recipient_maps"] = ""

    def _aliases(self, source: Source, value: str) -> None:
        paths = re.split(r"\s*,\s*", value)
        if not all(re.fullmatch(r"/[\w./-]+", path) for path in paths):
            self._plan.lost(source, "see alias_maps")
            return
        self._plan.add(source, "alias_maps", [f"hash:{path}" for path in paths])
        self._plan.carried(source, "alias_maps, but for aliases in this folder")

    def _privacy(self, source: Source, value: str) -> None:
        flags = set(re.findall(r"[a-z]+", value.lower()))
        if flags & {"goaway", "novrfy"}:
            self._plan.values["disable_vrfy_command"] = "yes"
        if flags & {"goaway", "needmailhelo"}:
            self._plan.values["smtpd_helo_required"] = "yes"
        known = {"goaway", "novrfy", "needmailhelo", "noexpn", "noetrn", "noverb"}
        rest = ", ".join(sorted(flags - known - {"authwarnings", "public"}))
        note = f"{rest}: no counterpart" if rest else ""
        self._plan.carried(source, "disable_vrfy_command, smtpd_helo_required", note)


def _hub(value: str) -> str:
    """
    @param value: C{host} or C{mailer:host}.
    @return: transport:nexthop, or C{""}.
    """
    mailer, colon, host = value.strip().partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][\w-]*", mailer):
        mailer, host = "relay", value.strip()
    if mailer.lower() == "discard":
        return "discard:"
    found = hops(host) if mailer.lower() in SMTP_MAILERS else ""
    return f"{SMTP_MAILERS[mailer.lower()]}:{found}" if found else ""
