"""
From Sendmail's access table to Postfix's access tables, mynetworks and
relay_domains.

Owns: tags, keys and values of the access table.
Knows nothing of: files; in which restrictions the tables are asked
    (L{txmta.admin.import_sendmail_finish}).

Sources: Sendmail's cf/README, "Access database"; Postfix's access(5),
cidr_table(5).

Errors: none; each entry that cannot be carried over is said.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from txmta.admin.import_sendmail_plan import Plan, Source, is_host
from txmta.admin.import_sendmail_tables import error_text

CLIENT, NETWORKS, SENDER, RECIPIENT = (
    "client_access",
    "client_access.cidr",
    "sender_access",
    "recipient_access",
)
RELAY_CLIENTS, RELAY_RECIPIENTS = "relay_clients", "relay_recipients"

#: Tags that have no table here, and what to do.
_REMEDIES = {
    "authinfo": "write it into smtp_sasl_password_maps by hand: it has a password",
    "certissuer": "relaying by certificate: see relay_clientcerts",
    "certsubject": "relaying by certificate: see relay_clientcerts",
    "greetpause": "see postscreen_greet_wait",
    "spam": "per recipient: see smtpd_restriction_classes",
    "srv_features": "see smtpd_discard_ehlo_keyword_address_maps",
    "tls_clt": "no TLS by client: see smtpd_tls_security_level, or reject_plaintext_"
    "session in a restriction class",
    "tls_rcpt": "see smtp_tls_policy_maps",
    "tls_srv": "see smtp_tls_policy_maps: it asks for next hops, not for hosts",
    "try_tls": "write none for that next hop into smtp_tls_policy_maps",
}

_RATES = {
    "clientrate": "smtpd_client_connection_rate_limit",
    "clientconn": "smtpd_client_connection_count_limit",
}

_TAG = re.compile(r"([A-Za-z_]+):(.*)")


class Access:
    """
    One access table.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        facts = plan.facts
        self._recipients = not facts.has_mc or bool(
            {"blacklist_recipients", "blocklist_recipients"} & set(facts.features)
        )
        self._tagged: set[tuple[str, str]] = set()

    def take(self, entries: Iterable[Source]) -> None:
        """
        Tagged entries count before untagged ones.
        """
        every = list(entries)
        for source in every:
            tag, key = _split(source.key)
            if tag:
                self._tagged.add((tag, key.lower()))
        for source in every:
            tag, key = _split(source.key)
            if tag in _RATES:
                self._rate(source, tag, key)
            elif tag in _REMEDIES:
                self._plan.lost(source, f"{_REMEDIES[tag]}")
            elif tag not in ("", "connect", "from", "to"):
                self._plan.lost(source, f"the tag {tag} is not known")
            elif not key:
                self._plan.lost(source, "no key, which is for all: see the defaults")
            else:
                self._entry(source, tag, key)

    def _rate(self, source: Source, tag: str, key: str) -> None:
        if key or not source.value.isdigit():
            self._plan.lost(source, f"there is one number for all: {_RATES[tag]}")
            return
        self._plan.set(source, _RATES[tag], source.value)

    def _entry(self, source: Source, tag: str, key: str) -> None:
        value = source.value.strip()
        network, wrong = _network(key)
        action = _action(value)
        if wrong:
            self._plan.lost(source, wrong)
        elif value.upper() == "RELAY":
            self._relay(source, tag, key, network)
        elif action is None:
            self._plan.lost(source, f"{value}: not understood")
        elif network and tag in ("from", "to"):
            self._plan.lost(source, "mail addresses have no networks")
        else:
            self._tables(source, tag, key, network, action)

    def _tables(
        self, source: Source, tag: str, key: str, network: str, action: str
    ) -> None:
        """
        An entry that is no permission to relay, in all tables that it is for.
        """
        key = "<>" if key in ("<@>", "<>") else key
        if not network and not _is_address(key):
            self._plan.lost(source, f"{key}: no host, network or address")
            return
        done: list[str] = []
        for each, table in (("connect", CLIENT), ("from", SENDER), ("to", RECIPIENT)):
            if tag not in ("", each) or ("@" in key and each == "connect"):
                continue
            if not tag and (each, key.lower()) in self._tagged:
                continue
            if not tag and each == "to" and not self._recipients:
                continue
            if network:
                table, key = NETWORKS, network
                if each != "connect":
                    continue
            if why := self._plan.entry(source, table, key, action):
                self._plan.lost(source, why)
                return
            done.append(table)
        if not done:
            self._plan.lost(source, "entries with tags say otherwise for each use")
            return
        note = ""
        if tag == "to" and not self._recipients:
            note = "Sendmail asks only with FEATURE(blacklist_recipients)"
        self._plan.carried(source, f"{', '.join(done)}: {key} {action}", note)

    def _relay(self, source: Source, tag: str, key: str, network: str) -> None:
        plan = self._plan
        if tag == "from":
            plan.lost(source, "who names a sender is nobody to trust: use SASL")
        elif network and tag == "to":
            plan.lost(source, "mail addresses have no networks")
        elif network:
            plan.add(source, "mynetworks", [bracketed(network)])
            # It is excepted from what is said of a larger network, and of lists.
            plan.entry(source, NETWORKS, network, "OK")
            plan.carried(source, f"mynetworks: {bracketed(network)}")
        elif "@" in key:
            self._relay_address(source, tag, key)
        elif not is_host(key):
            plan.lost(source, f"{key} is no host")
        else:
            done = []
            if tag in ("", "connect"):
                plan.entry(source, RELAY_CLIENTS, key, "OK")
                plan.entry(source, CLIENT, key, "OK")
                done.append(RELAY_CLIENTS)
            if tag in ("", "to"):
                plan.facts.relayed.append(key.lower())
                done.append("relay_domains")
            plan.carried(source, f"{', '.join(done)}: {key}")

    def _relay_address(self, source: Source, tag: str, key: str) -> None:
        user, _, domain = key.rpartition("@")
        if tag != "to" or not user or not is_host(domain):
            self._plan.lost(source, "relaying is by client, or To:user@domain")
        else:
            self._plan.put(source, RELAY_RECIPIENTS, key, "OK")


def relay_domain(plan: Plan, source: Source) -> None:
    """
    A word of relay-domains: to and from a domain, or from a network.
    """
    network, wrong = _network(source.key)
    if network:
        plan.add(source, "mynetworks", [bracketed(network)])
        plan.carried(source, f"mynetworks: {bracketed(network)}")
    elif wrong or not is_host(source.key):
        plan.lost(source, wrong or f"{source.key} is no domain")
    elif not (why := plan.entry(source, RELAY_CLIENTS, source.key, "OK")):
        plan.facts.relayed.append(source.key.lower())
        plan.carried(source, f"relay_domains, {RELAY_CLIENTS}")
    else:
        plan.lost(source, why)


def bracketed(network: str) -> str:
    """
    @return: as mynetworks has it.
    """
    address, _, prefix = network.partition("/")
    return f"[{address}]/{prefix}" if ":" in address else network


def _split(key: str) -> tuple[str, str]:
    """
    @return: tag in lower case, or C{""}, and the rest.
    """
    match = _TAG.fullmatch(key)
    if match is None or match[1].lower() == "ipv6":
        return "", key
    return match[1].lower(), match[2]


def _network(key: str) -> tuple[str, str]:
    """
    @return: a network with its prefix, or C{""} if this is none; what is wrong.
    """
    if key[:5].lower() == "ipv6:":
        return _network_6(key[5:])
    bare = key.strip("[]")
    if not re.fullmatch(r"[\d./]+", bare):
        return "", ""
    parts = bare.rstrip(".").split(".")
    if not all(p.isdigit() and int(p) < 256 for p in parts) or len(parts) > 4:
        return "", f"{key}: Sendmail knows whole octets only: 10, 192.168 or 192.0.2.1"
    address = ".".join([*(str(int(p)) for p in parts), *["0"] * (4 - len(parts))])
    return f"{address}/{8 * len(parts)}", ""


def _network_6(text: str) -> tuple[str, str]:
    try:
        if "::" in text or text.count(":") == 7:
            return f"{ipaddress.IPv6Address(text).compressed}/128", ""
        groups = text.rstrip(":").split(":")
        network = ipaddress.IPv6Address(f"{':'.join(groups)}::")
    except ValueError:
        return "", f"IPv6:{text}: no address, nor the first groups of one"
    return f"{network.compressed}/{16 * len(groups)}", ""


def _is_address(key: str) -> bool:
    user, at, domain = key.rpartition("@")
    if key == "<>":
        return True
    if at:
        return bool(user) and (not domain or is_host(domain)) and "*" not in user
    return is_host(key)


def _action(value: str) -> str | None:
    """
    @return: an action of access(5), or L{None}.
    """
    word, _, rest = value.partition(":")
    word = word.upper()
    if word in ("OK", "REJECT", "DISCARD", "SKIP") and not rest:
        return "DUNNO" if word == "SKIP" else word
    if word == "QUARANTINE":
        return f"HOLD {rest.strip()}".rstrip()
    if word == "ERROR":
        found = error_text(rest.strip().strip('"'))
    elif re.match(r"[45]\d\d\b", value):
        found = error_text(value)
    else:
        return None
    return f"{found[0]} {found[1]} {found[2]}" if found else None
