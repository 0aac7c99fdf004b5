"""
From sendmail.mc to parameters of main.cf.

Owns: what each macro and feature becomes.
Knows nothing of: how m4 is read (L{txmta.admin.import_sendmail_m4}), options
    (L{txmta.admin.import_sendmail_defines}), files that the macros name.

Sources: Sendmail's cf/README; Postfix's postconf(5).

Errors: none; each macro that cannot be carried over is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from txmta.admin.import_sendmail_access import relay_domain
from txmta.admin.import_sendmail_defines import Defines
from txmta.admin.import_sendmail_m4 import Call
from txmta.admin.import_sendmail_options import FEATURES
from txmta.admin.import_sendmail_plan import Plan, Source, is_host

FILE = "sendmail.mc"

#: Macros that ask for nothing that is not there anyway.
_NOTHING = {
    *("VERSIONID", "OSTYPE", "divert", "undivert", "TRUST_AUTH_MECH", "changequote"),
    *("LOCAL_UNIX", "TRUSTED_USER", "TRUSTED_USERS", "undefine", "include_once"),
}

_FILES = {
    "RELAY_DOMAIN_FILE": "relay-domains",
    "VIRTUSER_DOMAIN_FILE": "virtuser-domains",
    "GENERICS_DOMAIN_FILE": "generics-domains",
}


class Macros:
    """
    One sendmail.mc.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._defines = Defines(plan)
        self.masquerade = ""
        self.masqueraded: list[str] = []
        self.exposed: list[str] = []
        self.spared: list[str] = []

    def take(self, found: Iterable[Call]) -> None:
        """
        All of them: features first, which say what others mean.
        """
        every = list(found)
        for call in every:
            if call.name == "FEATURE" and call.arguments:
                name = call.arguments[0].strip("`'")
                self._plan.facts.features.setdefault(name, call.arguments[1:])
        for call in every:
            self._take(call)

    def _take(self, call: Call) -> None:
        shown = ", ".join(f"`{a}'" for a in call.arguments)
        text = f"{call.name}({shown})" if call.name else call.arguments[0]
        source = Source(FILE, call.line, text.replace("\n", " "))
        first = call.arguments[0] if call.arguments else ""
        if not call.whole:
            self._plan.lost(source, "it does not end, and the rest was not read")
        elif not call.name:
            self._line_of_cf(source, first)
        elif call.name in ("include", "sinclude", "DOMAIN"):
            self._included(source, first)
        elif call.name in _NOTHING:
            self._plan.carried(source, "nothing to do")
        elif call.name in _MACROS:
            _MACROS[call.name](self, source, first)
        elif call.name == "FEATURE":
            self._feature(source, call.arguments)
        elif call.name == "define":
            self._defines.define(source, first, (*call.arguments, "")[1])
        elif call.name in ("INPUT_MAIL_FILTER", "MAIL_FILTER"):
            self._milter(source, call)
        elif call.name in _FILES:
            self._plan.carried(source, f"{_FILES[call.name]}, if it is in this folder")
        else:
            self._plan.lost(source, "not known, or not read: see what it is for")

    def _included(self, source: Source, path: str) -> None:
        if path.endswith("m4/cf.m4"):
            self._plan.carried(source, "nothing to do")
        else:
            self._plan.lost(source, "it is not read, and what it sets is not seen")

    def _line_of_cf(self, source: Source, text: str) -> None:
        match = re.fullmatch(r"(Cw|CR|C\{VirtHost\}|CG|Dj)\s*(.+)", text)
        if match is None:
            self._plan.lost(source, "a line of sendmail.cf")
        elif match[1] == "Dj":
            self._plan.set(source, "myhostname", match[2].strip())
        elif match[1] == "CR":
            self._relayed(source, match[2])
        else:
            facts = self._plan.facts
            lists = {"Cw": facts.local, "CG": facts.generics}
            self._names(source, match[2], lists.get(match[1], facts.virtual))

    def _names(self, source: Source, text: str, to: list[str]) -> None:
        names = text.lower().split()
        if wrong := [n for n in names if not is_host(n)]:
            self._plan.lost(source, f"{wrong[0]} is no domain")
            return
        to.extend(names)
        self._plan.carried(source, "one more name")

    def _local(self, source: Source, text: str) -> None:
        self._names(source, text, self._plan.facts.local)

    def _virtual(self, source: Source, text: str) -> None:
        self._names(source, text, self._plan.facts.virtual)

    def _generic(self, source: Source, text: str) -> None:
        self._names(source, text, self._plan.facts.generics)

    def _relayed(self, source: Source, text: str) -> None:
        for word in text.split():
            each = Source(source.file, source.line, source.text, word)
            relay_domain(self._plan, each)

    def _masquerade_as(self, source: Source, text: str) -> None:
        if not is_host(text):
            self._plan.lost(source, f"{text} is no domain")
        else:
            self.masquerade = text.lower()
            self._plan.carried(source, f"sender_canonical: @{text}")

    def _masquerade(self, source: Source, text: str) -> None:
        self._names(source, text, self.masqueraded)

    def _spare(self, source: Source, text: str) -> None:
        self._names(source, text, self.spared)

    def _expose(self, source: Source, text: str) -> None:
        if not re.fullmatch(r"[\w. -]+", text):
            self._plan.lost(source, "no names of users")
            return
        self.exposed += text.split()
        self._plan.carried(source, "sender_canonical: they keep their names")

    def _mailer(self, source: Source, text: str) -> None:
        if text in ("local", "smtp", "prog"):
            self._plan.carried(source, "nothing to do")
        else:
            self._plan.lost(source, "declare a transport in master.cf if it is used")

    def _daemon(self, source: Source, text: str) -> None:
        options = _options(text)
        port = options.get("port", "smtp").lower()
        address = options.get("addr", options.get("address", ""))
        if port not in ("smtp", "25"):
            self._plan.lost(source, f"port {port}: a line of its own in master.cf")
        elif not address or address in ("0.0.0.0", "::"):
            self._plan.carried(source, "inet_interfaces = all, the default")
        elif not re.fullmatch(r"[\da-fA-F.:]+", address.removeprefix("IPv6:")):
            self._plan.lost(source, "a name: write its address into inet_interfaces")
        else:
            bare = address.removeprefix("IPv6:")
            word = f"[{bare}]" if ":" in bare else bare
            self._plan.add(source, "inet_interfaces", [word])
            self._plan.carried(source, "inet_interfaces")

    def _client(self, source: Source, text: str) -> None:
        options = _options(text)
        address = options.get("addr", options.get("address", ""))
        if address in ("0.0.0.0", "::"):
            self._plan.carried(source, "nothing to do")
            return
        if not re.fullmatch(r"[\d.]+|[\da-fA-F:]*:[\da-fA-F:]*", address):
            self._plan.lost(source, "see smtp_bind_address")
            return
        suffix = "6" if ":" in address else ""
        self._plan.set(source, f"smtp_bind_address{suffix}", address)

    def _milter(self, source: Source, call: Call) -> None:
        options = _options((*call.arguments, "")[1])
        socket = options.get("s", "")
        unix = re.fullmatch(r"(?:local|unix):(/\S+)", socket)
        inet = re.fullmatch(r"inet6?:([\w-]+)@([\w.:\[\]-]+)", socket)
        if call.name == "MAIL_FILTER":
            self._plan.lost(source, "see smtpd_milters, in the order that you want")
        elif unix is None and inet is None:
            self._plan.lost(source, f"socket {socket} is not understood")
        else:
            where = f"unix:{unix[1]}" if unix else ""
            where = f"inet:{inet[2]}:{inet[1]}" if inet else where
            self._plan.add(source, "smtpd_milters", [where])
            action = {"R": "reject", "T": "tempfail"}.get(
                options.get("f", ""), "accept"
            )
            self._plan.values.setdefault("milter_default_action", action)
            self._plan.carried(source, f"smtpd_milters: {where}")

    def _feature(self, source: Source, arguments: tuple[str, ...]) -> None:
        name = arguments[0]
        if name in ("dnsbl", "enhdnsbl"):
            zone = (*arguments, "")[1]
            if not is_host(zone):
                self._plan.lost(source, "no zone: see reject_rbl_client")
                return
            self._plan.facts.features[f"rbl {zone}"] = ()
            words = "" if len(arguments) < 3 else "with words of Postfix's"
            self._plan.carried(source, f"reject_rbl_client {zone}", words)
        elif name == "nullclient":
            self._defines.smart_host(source, (*arguments, "")[1])
            self._plan.values["inet_interfaces"] = "loopback-only"
        elif name == "local_procmail":
            command = (*arguments, "")[1] or "/usr/bin/procmail"
            if not re.fullmatch(r"/[\w./-]+", command):
                self._plan.lost(source, "see mailbox_command")
                return
            self._plan.set_raw(
                source, "mailbox_command", f'{command} -a "$EXTENSION"', "-Y -d: no"
            )
        elif name in FEATURES:
            target, why = FEATURES[name]
            if why and not target:
                self._plan.lost(source, why)
            else:
                self._plan.carried(source, target, why)
        else:
            self._plan.lost(source, "not known: see what it is for")


_MACROS: Mapping[str, Callable[[Macros, Source, str], None]] = {
    "LOCAL_DOMAIN": Macros._local,
    "VIRTUSER_DOMAIN": Macros._virtual,
    "GENERICS_DOMAIN": Macros._generic,
    "RELAY_DOMAIN": Macros._relayed,
    "MASQUERADE_AS": Macros._masquerade_as,
    "MASQUERADE_DOMAIN": Macros._masquerade,
    "MASQUERADE_EXCEPTION": Macros._spare,
    "EXPOSED_USER": Macros._expose,
    "MAILER": Macros._mailer,
    "DAEMON_OPTIONS": Macros._daemon,
    "CLIENT_OPTIONS": Macros._client,
}


def _options(text: str) -> dict[str, str]:
    """
    @return: values by name in lower case, of C{Name=value, Name=value}.
    """
    found: dict[str, str] = {}
    for piece in re.split(r"\s*,\s*", text):
        name, _, value = piece.partition("=")
        found[name.strip().lower()] = value.strip()
    return found
