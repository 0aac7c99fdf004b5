"""
From Sendmail's virtusertable, genericstable and domaintable to Postfix's tables.

Owns: what an entry of each becomes.
Knows nothing of: files, other tables.

Sources: Sendmail's cf/README; Postfix's virtual(5), canonical(5), access(5),
regexp_table(5).

Errors: none; each entry that cannot be carried over is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from txmta.admin.import_sendmail_plan import Plan, Source, is_host

#: A virtual address of these many domains at most gets a line for each.
MAX_DOMAINS = 10_000

#: Addresses with entries of their own that a pattern may leave out.
MAX_OTHERS = 1_000

_DSN = {
    **{"nouser": "5.1.1", "nohost": "5.1.2", "unavailable": "5.0.0"},
    **{"usage": "5.5.4", "protocol": "5.5.0", "config": "5.3.5", "tempfail": "4.0.0"},
}


def error_text(value: str) -> tuple[str, str, str] | None:
    """
    What follows C{error:}.

    @return: code, enhanced code, words; L{None} if it is none of an error.
    """
    match = re.fullmatch(r"([\w.]*):?[ \t]*(.*)", value.strip(), re.DOTALL)
    if match is None:
        return None
    word, text = match[1].lower(), match[2].strip().strip('"')
    if re.fullmatch(r"[45]\d\d", word):
        text, word = f"{word} {text}".strip(), ""
    dsn = word if re.fullmatch(r"[45](\.\d{1,3}){2}", word) else _DSN.get(word, "")
    if word and not dsn:
        return None
    code = re.match(r"([45]\d\d)\b[ -]?", text)
    if code:
        text = text[code.end() :]
        inner = re.match(r"[45](?:\.\d{1,3}){2}\b ?", text)
        if inner:
            dsn = dsn or inner[0].strip()
            text = text[inner.end() :]
    number = code[1] if code else ("450" if dsn.startswith("4") else "550")
    if not dsn or dsn[0] != number[0]:
        dsn = f"{number[0]}.7.1" if not dsn else f"{number[0]}{dsn[1:]}"
    return number, dsn, text.strip() or "Refused"


def virtusertable(plan: Plan, entries: Sequence[Source]) -> None:
    """
    To virtual_alias_maps; errors to a table of check_recipient_access.
    """
    known = {*plan.facts.local, *plan.facts.virtual}
    explicit: dict[str, list[str]] = {}
    for source in entries:
        user, at, domain = source.key.lower().rpartition("@")
        if at and user:
            explicit.setdefault(domain, []).append(user)
    closed: set[str] = set()
    seen: set[str] = set()
    rules: list[tuple[int, list[str]]] = []
    for source in entries:
        user, at, domain = source.key.lower().rpartition("@")
        value = source.value.strip()
        note = "" if domain in known else _UNKNOWN.format(domain=domain)
        if source.key.lower() in seen:
            plan.lost(source, f"{source.key} is there already: the first one counts")
            continue
        seen.add(source.key.lower())
        if not at or not is_host(domain):
            plan.lost(source, "no user@domain, and no @domain")
        elif value.lower().startswith("error:"):
            if _error(plan, source, user, domain, note) and not user:
                closed.add(domain)
        elif "," in value or " " in value:
            plan.lost(source, "more than one address: make it an alias")
        elif "%" in value or _wild(user):
            others = [u for u in explicit.get(domain, ()) if not _wild(u)]
            rule = _rule(source, user, domain, others)
            if len(others) > MAX_OTHERS:
                plan.lost(source, f"more than {MAX_OTHERS} others in its domain")
                continue
            if rule is None:
                plan.lost(source, "only user, *, +, %1, %2 and %3 are known")
                continue
            rules.append((_rank(user), rule))
            plan.carried(source, f"virtual_regexp: {rule[len(rule) // 2]}", note)
        else:
            plan.put(source, "virtual", f"{user}@{domain}", value, note)
    for _, rule in sorted(rules, key=lambda r: r[0]):
        plan.rule("virtual_regexp", rule)
    for domain in closed:
        for user in explicit.get(domain, ()):
            key = f"{user[:-2] if _wild(user) else user}@{domain}"
            plan.tables["recipient_access"].setdefault(key, "DUNNO")


_UNKNOWN = (
    "check: {domain} is neither in local-host-names nor in virtuser-domains; Sendmail "
    "looked here only if it has the name from elsewhere"
)


def _error(plan: Plan, source: Source, user: str, domain: str, note: str) -> bool:
    found = error_text(source.value.partition(":")[2])
    if found is None:
        plan.lost(source, f"{source.value}: not understood")
        return False
    code, dsn, text = found
    only = "refused by smtpd; mail of programs here is not"
    return plan.put(
        source,
        "recipient_access",
        f"{user}@{domain}" if user else domain,
        f"{code} {dsn} {text}",
        f"{only}; {note}" if note else only,
    )


def _wild(user: str) -> bool:
    return user.endswith(("+*", "++"))


def _rank(user: str) -> int:
    """
    @return: in which order Sendmail looks.
    """
    if user.endswith("++"):
        return 0 if user[:-2] else 3
    if user.endswith("+*"):
        return 1 if user[:-2] else 4
    return 2 if user else 5


def _rule(
    source: Source, user: str, domain: str, others: Sequence[str]
) -> list[str] | None:
    """
    An entry that needs parts of the address: lines of a regexp table. That is
    asked before entries of C{@domain}, and before the extension is taken off, and so
    must leave out who has an entry of his own.
    """
    parts = {"%1": "${1}", "%2": "${3}", "%3": "${2}"}
    value = source.value.replace("$", "$$")
    value = re.sub("%[123]", lambda m: parts[m[0]], value)
    if "%" in value or any(c in value for c in '"\\') or "*" in user[:-1]:
        return None
    detail = r"(\+(.*))?"
    bare = user
    if _wild(user):
        detail = r"(\+(.*))" if user.endswith("*") else r"(\+(.+))"
        bare = user[:-2]
    name = f"({quoted(bare)})" if bare else "([^+]+)"
    at = f"@{quoted(domain)}$/"
    lines = [f"/^{name}{detail}{at} {value}"]
    if bare or not others:
        return lines
    names = "|".join(quoted(each) for each in others)
    return [f"if !/^({names})(\\+.*)?{at}", *lines, "endif"]


def quoted(text: str) -> str:
    return re.sub(r"[^\w@ -]", lambda m: "\\" + m[0], text)


def genericstable(plan: Plan, entries: Iterable[Source]) -> None:
    """
    To sender_canonical_maps.
    """
    local = set(plan.facts.local)
    others = [d for d in plan.facts.generics if d not in local][:MAX_DOMAINS]
    for source in entries:
        key, value = source.key.lower(), source.value.strip()
        _user, at, domain = key.rpartition("@")
        if "%" in value or "+*" in key or " " in value:
            plan.lost(source, "parts of addresses need a table of patterns")
        elif at and not is_host(domain):
            plan.lost(source, f"{domain} is no domain")
        elif plan.put(source, "sender_canonical", key, value) and not at:
            for name in others:
                if plan.full:
                    break
                plan.entry(source, "sender_canonical", f"{key}@{name}", value)


def domaintable(plan: Plan, entries: Iterable[Source]) -> None:
    """
    To canonical_maps. smtpd asks whether it has a recipient's domain before it
    is rewritten, so that the old name must be one of ours.
    """
    facts = plan.facts
    ours = {*facts.local, *facts.virtual, *facts.relayed}
    for source in entries:
        old, new = source.key.lower(), source.value.strip().lower()
        if not is_host(old) or not is_host(new):
            plan.lost(source, "no domain, or none to make of it")
            continue
        accepted = new in ours and old not in ours
        note = "recipients there are accepted, and unknown ones returned"
        done = plan.put(
            source, "canonical", f"@{old}", f"@{new}", note if accepted else ""
        )
        if done and accepted:
            facts.virtual.append(old)
            ours.add(old)
