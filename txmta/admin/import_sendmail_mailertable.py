"""
From Sendmail's mailertable to transport_maps.

Owns: what an entry becomes; that local names stay local.
Knows nothing of: files, other tables.

Sources: Sendmail's cf/README; Postfix's transport(5), regexp_table(5).

Errors: none; each entry that cannot be carried over is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from txmta.admin.import_sendmail_plan import Plan, Source, hops, is_host
from txmta.admin.import_sendmail_tables import MAX_OTHERS, error_text, quoted

#: Mailers that are SMTP, and our name of each.
SMTP_MAILERS = {
    **dict.fromkeys(("smtp", "esmtp", "smtp8", "dsmtp"), "smtp"),
    "relay": "relay",
}

#: What Postfix's transports of other names need.
_OTHER_MAILERS = {
    "procmail": "there is no such transport: declare one with pipe in master.cf that "
    "runs procmail -m {host}",
    "cyrus": "write lmtp:unix:/path/of/socket",
    "cyrusv2": "write lmtp:unix:/path/of/socket",
}

#: Entries with %1. Ours.
MAX_PATTERNS = 100

#: Stands for %1 while a host is checked.
_PART = "percent-one"


def mailertable(plan: Plan, entries: Iterable[Source]) -> None:
    """
    To transport_maps.
    """
    local = set(plan.facts.local)
    every = list(entries)
    patterns = Patterns(plan, [_key(source) for source in every])
    for source in every:
        key = _key(source)
        mailer, colon, host = source.value.partition(":")
        if not colon:
            plan.lost(source, "no mailer:host")
            continue
        host = host.strip()
        part = "%1" in host and key.startswith(".") and key != "."
        target, note = _transport(
            mailer.strip().lower(), host.replace("%1", _PART) if part else host
        )
        if key != "." and not is_host(key.removeprefix(".")):
            plan.lost(source, f"{key} is no domain")
        elif key in local:
            plan.lost(source, "a local name: Sendmail does not look here for it")
        elif mailer.lower() == "local":
            _to_local(plan, source, key, host)
        elif not target:
            plan.lost(source, note)
        elif part:
            patterns.add(source, key, target.replace(_PART, "${1}"))
        elif key == ".":
            _default(plan, source, target, note)
        else:
            plan.facts.subdomains |= key.startswith(".")
            plan.put(source, "transport", key, target, note)
    if plan.facts.subdomains:
        _spare_local(plan)
    patterns.finish()


def _key(source: Source) -> str:
    return source.key.rstrip(".").lower() or "."


class Patterns:
    """
    Entries of C{.domain} with C{%1}, the part before: a regexp table. That is asked
    for whole addresses, before all others, and so must leave out what has an entry
    of its own, and names of this machine.
    """

    def __init__(self, plan: Plan, keys: Sequence[str]) -> None:
        """
        @param keys: of the mailertable.
        """
        self._plan = plan
        self._names = dict.fromkeys((*plan.facts.local, *keys))
        self._rules: dict[str, list[str]] = {}

    def add(self, source: Source, suffix: str, value: str) -> None:
        """
        @param value: with C{${1}} for the part.
        """
        plan, why = self._plan, ""
        others: list[str] = []
        if not isinstance(plan.values.get("myhostname"), str):
            why = "the name of this machine must be excepted: define confDOMAIN_NAME"
        elif suffix in self._rules or len(self._rules) >= MAX_PATTERNS:
            why = f"there is one already, or {MAX_PATTERNS}"
        else:
            names = [f"localhost{suffix}", *self._names]
            others = [n for n in names if n.endswith(suffix) and n != suffix]
        if len(others) > MAX_OTHERS:
            why = f"more than {MAX_OTHERS} names below it have entries of their own"
        if why:
            plan.lost(source, f"%1 needs a table of patterns: {why}")
            return
        which = "|".join((".*" if n[0] == "." else "") + quoted(n) for n in others)
        rule = f"/@(.+){quoted(suffix)}$/ {value}"
        self._rules[suffix] = [f"if !/@({which})$/", rule, "endif"]
        plan.carried(source, f"transport_regexp: {rule}")

    def finish(self) -> None:
        """
        The longest first, as Sendmail asks. Call once.
        """
        for suffix in sorted(self._rules, key=len, reverse=True):
            self._plan.rule("transport_regexp", self._rules[suffix])


def _transport(mailer: str, host: str) -> tuple[str, str]:
    """
    @return: value of a transport table, or C{""}; what is to be said.
    """
    if mailer in SMTP_MAILERS:
        if "%" in host:
            return "", f"{host}: only %1 of .domain is known"
        hosts = hops(host)
        several = "several hosts are a list with commas" if "," in hosts else ""
        if not hosts:
            return "", f"{host} is no host"
        return f"{SMTP_MAILERS[mailer]}:{hosts}", several
    if mailer == "discard":
        return "discard:", ""
    if mailer == "error":
        found = error_text(host)
        if found is None:
            return "", f"error:{host}: not understood"
        _code, dsn, text = found
        return f"error:{dsn} {text}", ""
    other = _OTHER_MAILERS.get(mailer, "declare a transport of that name in master.cf")
    return "", f"mailer {mailer}: {other.format(host=host)}"


def _to_local(plan: Plan, source: Source, key: str, user: str) -> None:
    if key.startswith("."):
        plan.lost(source, "all subdomains as local ones: name each in mydestination")
    elif not user:
        plan.facts.local.append(key)
        note = "accepted from everybody" if key not in plan.facts.relayed else ""
        plan.carried(source, "mydestination", note)
    else:
        note = "all mail of the domain, as aliases"
        done = plan.put(source, "virtual", f"@{key}", user, note)
        # Else it is only for who may relay.
        if done and key in plan.facts.relayed:
            plan.facts.virtual.append(key)


def _default(plan: Plan, source: Source, target: str, note: str) -> None:
    """
    C{.}: what no other entry is for, as opposed to C{*} of transport_maps, which
    local domains match, too.
    """
    transport, _, host = target.partition(":")
    if transport in ("smtp", "relay"):
        plan.set(source, "relayhost", host, note)
        return
    plan.set(source, "default_transport", target, note)
    plan.add(source, "relay_transport", ["$default_transport"])


def _spare_local(plan: Plan) -> None:
    """
    Sendmail knows its own names before it looks into the mailertable; .domain of
    transport_maps is for those, too. An entry of C{:} changes nothing.
    """
    table = plan.tables["transport"]
    for name in plan.facts.local:
        labels = name.split(".")
        parents = (".".join(["", *labels[n:]]) for n in range(1, len(labels)))
        if any(parent in table for parent in parents):
            table.setdefault(name, ":")
