"""
What parameters ask for the tables that an import made, and the text of all files.

Owns: in which lists and restrictions each table is, the form of main.cf.
Knows nothing of: Sendmail's files; files at all.

Sources: Postfix's postconf(5), SMTPD_ACCESS_README, ADDRESS_REWRITING_README.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from txmta.admin import import_sendmail_access as access
from txmta.admin.import_sendmail_mc import Macros
from txmta.admin.import_sendmail_plan import Plan, Source
from txmta.admin.import_sendmail_tables import quoted

#: Words of a list that stand in main.cf; more are a file of their own.
MAX_WORDS = 50

#: Domains of one pattern.
MAX_DOMAINS = 1_000

#: Networks that Sendmail always relays for.
_OWN_NETWORKS = ("127.0.0.0/8", "[::ffff:127.0.0.0]/104", "[::1]/128")

_HEADER = """\
# Made by "txmta import-sendmail" from {directory}.
# Tables of type hash are read from their text; Postfix needs them compiled: run
# postmap on each, and postalias on aliases. See what of it is not there yet with
# "postfix check", or "txmta check".
"""

_TABLE = "# Made by txmta import-sendmail: {name}.\n"


def finish(plan: Plan, macros: Macros) -> None:
    """
    Set the parameters that ask for what was gathered. Call once.
    """
    _masquerade(plan, macros)
    plan.values.update((name, tuple(words)) for name, words in plan.lists.items())
    _domains(plan)
    _tables(plan)
    _restrictions(plan)


def _file(name: str) -> str:
    return f"$config_directory/{name}"


def _put(plan: Plan, name: str, words: Iterable[str]) -> None:
    """
    A list that is there only if it has something.
    """
    found = tuple(dict.fromkeys(words))
    if found:
        plan.values[name] = found


def _domains(plan: Plan) -> None:
    facts = plan.facts
    local = dict.fromkeys(facts.local)
    virtual = dict.fromkeys(d for d in facts.virtual if d not in local)
    relayed = [d for d in facts.relayed if d not in local and d not in virtual]
    if "relay_entire_domain" in facts.features:
        relayed.append("$mydomain")
    own = ("$myhostname", "localhost.$mydomain", "localhost")
    if "nullclient" not in facts.features:
        plan.values["mydestination"] = tuple(dict.fromkeys((*own, *local)))
    else:
        plan.values["mydestination"] = ""
    _put(plan, "relay_domains", relayed)
    if virtual or "virtual" in plan.tables or "virtual_regexp" in plan.rules:
        plan.values["virtual_alias_domains"] = tuple(virtual)
    networks = plan.values.get("mynetworks", ())
    plan.values["mynetworks"] = tuple(dict.fromkeys((*_OWN_NETWORKS, *networks)))
    plan.values["recipient_delimiter"] = "+"
    plan.values["propagate_unmatched_extensions"] = ""


def _masquerade(plan: Plan, macros: Macros) -> None:
    """
    Names of this machine become one in senders' addresses.
    """
    to, features = macros.masquerade, plan.facts.features
    if not to:
        return
    source = Source("sendmail.mc", 0, "MASQUERADE_AS")
    local = [] if "limited_masquerade" in features else plan.facts.local
    for name in dict.fromkeys((*local, *macros.masqueraded)):
        if name == to or name in macros.spared:
            continue
        for user in macros.exposed:
            if plan.full:
                break
            # Where genericstable says otherwise, that counts.
            exposed = f"{user}@{name}"
            plan.entry(source, "sender_canonical", exposed, exposed)
        plan.entry(source, "sender_canonical", f"@{name}", f"@{to}")
    if "masquerade_entire_domain" in features:
        _subdomains(plan, macros)
    kept = [f"{u}@$myhostname={u}@$myhostname" for u in macros.exposed]
    inline = ", ".join([*kept, f"@$myhostname=@{to}"])
    plan.add(source, "sender_canonical_maps", [f"inline:{{{inline}}}"])


def _subdomains(plan: Plan, macros: Macros) -> None:
    """
    What is below the names of MASQUERADE_DOMAIN becomes one, too: a regexp table.
    """
    names = list(dict.fromkeys(macros.masqueraded))[:MAX_DOMAINS]
    if not names:
        return
    which = "|".join(map(quoted, names))
    users = [f"^({'|'.join(map(quoted, macros.exposed))})@"] if macros.exposed else []
    hosts = [f"@({'|'.join(map(quoted, macros.spared))})$"] if macros.spared else []
    rule = f"/^(.+)@.+\\.({which})$/ ${{1}}@{macros.masquerade}"
    kept = "|".join([*users, *hosts])
    plan.rule(
        "sender_canonical_regexp",
        [f"if !/{kept}/", rule, "endif"] if kept else [rule],
    )


def _tables(plan: Plan) -> None:
    tables, rules = plan.tables, plan.rules
    maps: list[tuple[str, list[str]]] = [
        ("canonical_maps", ["canonical"]),
        ("sender_canonical_maps", ["sender_canonical", "sender_canonical_regexp"]),
        ("virtual_alias_maps", ["virtual", "virtual_regexp"]),
        ("transport_maps", ["transport", "transport_regexp"]),
    ]
    if plan.facts.subdomains:
        # Sendmail knows its own names before it asks.
        keys = ("$myhostname", "localhost.$mydomain", "localhost")
        inline = ", ".join(f"{key}=:" for key in keys)
        plan.values["transport_maps"] = (f"inline:{{{inline}}}",)
    for parameter, names in maps:
        there = plan.values.get(parameter, ())
        found = [*there]
        found += [f"hash:{_file(n)}" for n in names if tables.get(n)]
        found += [f"regexp:{_file(n)}" for n in names if rules.get(n)]
        _put(plan, parameter, found)
    if "sender_canonical_maps" in plan.values:
        envelope = "masquerade_envelope" in plan.facts.features
        classes = ("envelope_sender", "header_sender") if envelope else "header_sender"
        plan.values["sender_canonical_classes"] = classes
        if "allmasquerade" in plan.facts.features:
            maps_of = plan.values["sender_canonical_maps"]
            plan.values["recipient_canonical_maps"] = maps_of
            plan.values["recipient_canonical_classes"] = "header_recipient"
    if plan.aliases:
        plan.values["alias_maps"] = f"hash:{_file('aliases')}"
        plan.values["alias_database"] = f"hash:{_file('aliases')}"


def _restrictions(plan: Plan) -> None:
    features = plan.facts.features

    def asked(check: str, *names: str) -> list[str]:
        return [
            f"{check} {'cidr' if name.endswith('.cidr') else 'hash'}:{_file(name)}"
            for name in names
            if plan.tables.get(name)
        ]

    client = asked("check_client_access", access.CLIENT, access.NETWORKS)
    lists = [f.split()[1] for f in features if f.startswith("rbl ")]
    more = [f"reject_rbl_client {zone}" for zone in lists]
    if "require_rdns" in features:
        more.append("reject_unknown_reverse_client_hostname")
    _put(plan, "smtpd_client_restrictions", [*client, *_strangers(more)])

    helo = ["reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname"]
    if "block_bad_helo" in features:
        _put(plan, "smtpd_helo_restrictions", _strangers(helo))

    more = []
    if plan.facts.has_mc and "accept_unqualified_senders" not in features:
        more.append("reject_non_fqdn_sender")
    if plan.facts.has_mc and "accept_unresolvable_domains" not in features:
        more.append("reject_unknown_sender_domain")
    sender = asked("check_sender_access", access.SENDER)
    _put(plan, "smtpd_sender_restrictions", [*sender, *_strangers(more)])

    recipient = asked("check_recipient_access", access.RECIPIENT)
    _put(plan, "smtpd_recipient_restrictions", recipient)

    relay = asked("check_client_access", access.RELAY_CLIENTS)
    relay += asked("check_recipient_access", access.RELAY_RECIPIENTS)
    if "relay_entire_domain" in features:
        relay.append("check_client_access inline:{$mydomain=OK}")
    if "relay_based_on_MX" in features:
        relay.append("permit_mx_backup")
    if relay:
        plan.values["smtpd_relay_restrictions"] = (
            "permit_mynetworks",
            "permit_sasl_authenticated",
            *relay,
            "reject_unauth_destination",
        )


def _strangers(checks: Sequence[str]) -> list[str]:
    return ["permit_mynetworks", *checks] if checks else []


def texts(plan: Plan, directory: str) -> Mapping[str, str]:
    """
    @return: the text of each file, by name; main.cf first.
    """
    shown = "".join(c if c.isprintable() else "?" for c in directory)
    main_cf = [_HEADER.format(directory=shown), "compatibility_level = 3.6\n"]
    files: dict[str, str] = {}
    for name, value in plan.values.items():
        if isinstance(value, tuple):
            value = _list(name, value, files)
        origin = plan.origins.get(name, ())
        comment = f"# {', '.join(origin)}\n" if origin else ""
        gap = "" if value.startswith("\n") or not value else " "
        main_cf.append(f"\n{comment}{name} ={gap}{value}\n")
    for name, entries in plan.tables.items():
        if entries:
            files[name] = _table(name, entries)
    for name, lines in plan.rules.items():
        files[name] = "".join([_TABLE.format(name=name), *(f"{r}\n" for r in lines)])
    if plan.aliases:
        lines = [f"{_name(n)}: {value}\n" for n, value in plan.aliases.items()]
        files["aliases"] = "".join([_TABLE.format(name="aliases"), *lines])
    return {"main.cf": "".join(main_cf), **files}


def _name(alias: str) -> str:
    if re.fullmatch(r"[\w.+-]+", alias):
        return alias
    escaped = re.sub(r'["\\]', lambda m: "\\" + m[0], alias)
    return f'"{escaped}"'


def _list(name: str, words: Sequence[str], files: dict[str, str]) -> str:
    """
    @return: words on as many lines as it takes; many are put into a file.
    """
    if len(words) > MAX_WORDS:
        # What depends on others cannot be in a file.
        here = [w for w in words if "$" in w]
        rest = "".join(f"{word}\n" for word in words if "$" not in word)
        files[name] = _TABLE.format(name=name) + rest
        words = [*here, _file(name)]
    text = ", ".join(words)
    return text if len(text) < 60 else "\n    " + ",\n    ".join(words)


def _table(name: str, entries: Mapping[str, str]) -> str:
    lines = list(entries.items())
    if name.endswith(".cidr"):
        # Sendmail takes the longest prefix, a cidr table the first that fits.
        lines.sort(key=lambda e: -int(e[0].partition("/")[2]))
    width = min(max(len(key) for key in entries), 40)
    body = "".join(f"{key:<{width}} {value}\n" for key, value in lines)
    return _TABLE.format(name=name) + body
