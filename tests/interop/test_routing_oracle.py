"""
Where addresses lead, beside Debian's trivial-rewrite: the same class, transport,
next hop and recipient for generated addresses and tables, the same standard form.
"""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests import support
from tests.interop.postfix_instance import Postfix
from tests.interop.trivial_rewrite import UNKNOWN, Answer, Rewriter, external
from tests.support import require, require_root
from txmta.address import quote
from txmta.config.settings import Settings
from txmta.errors import TableUnavailable
from txmta.model import Route
from txmta.rewrite.resolver import BAD_ADDRESS, AddressResolver
from txmta.roles.shared import Tables

#: Configurations, and questions about each.
CONFIGURATIONS = 40
ADDRESSES = 120

#: What all configurations have.
COMMON = {
    "myhostname": "mx.here.test",
    "mydomain": "here.test",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "relayhost": "",
    "mydestination": "here.test, localhost",
    "virtual_alias_domains": "al.test, inline:{al2.test=x}",
    "virtual_mailbox_domains": "v.test, inline:{v2.test=x}",
    "relay_domains": "r.test, .p.test",
    "recipient_delimiter": "+",
    "local_recipient_maps": "",
    "compatibility_level": "3.6",
}

#: The first 21 can have mail, the others hardly.
_DOMAINS = (
    *("here.test", "localhost", "Here.Test", "mx.here.test", "here.test."),
    *("[127.0.0.1]", "v.test", "V2.test", "r.test", "Sub.r.test", "p.test"),
    *("sub.p.test", "al.test", "al2.test", "e.test", "E.Test", "a.e.test"),
    *("b.a.e.test", "f.test", "test", "x", "[192.0.2.1]", "192.0.2.1"),
    *("127.0.0.1", "[IPv6:2001:db8::1]", "[e.test]", "[]", "", ".", "e..test"),
    *("e.test..", "-e.test", "e-.test", "e_f.test", "e test", "e.te,st"),
    *("\xfc.test", "\xdc.test"),
)
_GOOD = _DOMAINS[:21]
#: The first 10 are usual.
_USERS = (
    *("u", "U", "u+x", "u+x+y", "u+", "+x", "w", "postmaster", "Postmaster+x", "a.b"),
    *("a b", "a b+x", 'a"b', "a\\b", "a,b", "(a)b", "a..b", ".a", "-u", "--", "", " "),
    *("owner-l", "l-request", "double-bounce", "double-bounce+x", "mailer-daemon"),
    *("<>", "u%e.test", "e.test!u", "u@e.test", "u%v.test%here.test", "u%", "!u", "@"),
    *("u%x", "u@r.test@here.test", "e.test!here.test!u", "u+x%f.test", '"u@e.test"'),
    *("%", "a:b", "@e.test:u", "@here.test,@e.test:u", "u@", "a@b c", "u<v>", "[u]"),
    *("u!e.test%f.test", "j\xfcrgen"),
)
_PLAIN = _USERS[:10]

_TRANSPORTS = (
    *("slow:", "slow", "smtp:[Gate.test]:25", ":[Other.test]", ":", "error:", "error"),
    *("error:5.7.1 No: Mail", "retry:", "retry:4.7.1 Later", "smtp:a.test, b.test"),
    "x:y:z",
)
_RELAYHOSTS = ("[Relay.test]", "relay2.test:587", "DUNNO", "dunno", "[r3]:smtp")
_BY_SENDER = ("by-sender", "by:[Sender.test]", "by:", "DUNNO", "dunno", ":x")
_PATTERNS = (
    "/^u[+@]/",
    "/@e\\.test$/",
    r"/\*/",
    "/^<>$/",
    "/^test$/",
    "/^A B/",
    "/!/i",
)
_MOVED = ("new@e.test", "New Place, far away")


def address(random: random.Random) -> str:
    """
    @return: in internal form; often odd.
    """
    odd = random.random() < 0.4
    user = random.choice(_USERS if odd else _PLAIN)
    domain = random.choice(_DOMAINS if random.random() < 0.3 else _GOOD)
    return user if random.random() < 0.08 else f"{user}@{domain}"


def table(random: random.Random, values: Sequence[str], *more: str) -> str:
    """
    @param more: keys that such a table may have besides parts of addresses.
    @return: a text with a few entries, or patterns.
    """
    if random.random() < 0.2:
        rules = random.sample(_PATTERNS, 3)
        return "".join(f"{rule} {random.choice(values)}\n" for rule in rules)
    keys = list(more)
    for _ in range(random.randrange(1, 9)):
        user, domain = random.choice(_PLAIN), random.choice(_GOOD).lower()
        keys += [f"{user}@{domain}", f"@{domain}", domain, f".{domain}", user]
        keys += ['"a b"', f'"a b"@{domain}', '"a b+x"', "test", ".test"]
    chosen = random.sample(keys, random.randrange(1, 9))
    entries = {key.lower(): random.choice(values) for key in chosen}
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def settings(random: random.Random) -> Mapping[str, str]:
    """
    @return: a configuration; each part is there now and then.
    """
    transport = table(random, _TRANSPORTS, "*", "<>")
    switches = (
        "swap_bangpath",
        "allow_percent_hack",
        "resolve_dequoted_address",
        "append_at_myorigin",
    )
    found = {
        "transport_maps": transport,
        "relocated_maps": table(random, _MOVED),
        "sender_dependent_relayhost_maps": table(random, _RELAYHOSTS, "<>", "null"),
        "sender_dependent_default_transport_maps": table(
            random, _BY_SENDER, "<>", "null"
        ),
        "relayhost": random.choice(_RELAYHOSTS[:2]),
        "relay_transport": random.choice(("relay:[Inner.test]", "relay:", "other")),
        "default_transport": random.choice(("smtp:[Outer.test]", "error:No Way")),
        "local_transport": random.choice(("local", "error:5.1.1 Nobody here")),
        "virtual_transport": random.choice(("lmtp:unix:/Some/Path", "virtual:")),
        "parent_domain_matches_subdomains": "transport_maps, relay_domains",
        "recipient_delimiter": random.choice(("", "-", "+-")),
        "empty_address_recipient": random.choice(("null@e.test", "Null", "u%e.test")),
        "empty_address_relayhost_maps_lookup_key": "null",
        "empty_address_default_transport_maps_lookup_key": "null",
        "mydestination": "mx.here.test, here.test",
        "myorigin": random.choice(("e.test", "localhost")),
        "append_dot_mydomain": "yes",
        "remote_header_rewrite_domain": "invalid.test",
        "show_user_unknown_table_name": "no",
        "allow_min_user": "yes",
        "resolve_null_domain": "yes",
        "resolve_numeric_domain": "yes",
        **dict.fromkeys(switches, "no"),
    }
    rare = (
        *switches,
        "allow_min_user",
        "resolve_null_domain",
        "empty_address_recipient",
    )
    return {
        name: value
        for name, value in found.items()
        if random.random() < (0.2 if name in rare else 0.5)
    }


def confused(address: str) -> bool:
    """
    The one difference, in what is no address: Postfix takes a colon of an address
    literal for the end of a source route, if nothing but C{@} is before it.
    """
    return re.match(r"@+\[IPv6:", address) is not None


def ours(resolver: AddressResolver, sender: str, address: str) -> Answer:
    try:
        route = resolver.resolve(address, sender)
    except TableUnavailable:
        return UNKNOWN
    assert not isinstance(route, Deferred)
    if route.nexthop == BAD_ADDRESS:
        return Answer(route.address_class, "", "", route.recipient, False)
    return _plain(route)


def _plain(route: Route) -> Answer:
    return Answer(
        route.address_class,
        route.transport,
        route.nexthop,
        route.recipient,
        route.routed,
    )


class RoutingOracle(SynchronousTestCase):
    def setUp(self) -> None:
        require("postfix")
        require_root("starts Postfix")

    def write(self, folder: Path, found: Mapping[str, str]) -> Mapping[str, str]:
        """
        @return: a configuration whose tables are in files.
        """
        folder.mkdir()
        maps = {name for name in found if name.endswith("_maps")}
        for name in maps:
            (folder / name).write_text(found[name])
        kinds = {True: "regexp", False: "texthash"}
        return {
            **found,
            **{
                name: f"{kinds[found[name].startswith('/')]}:{folder}/{name}"
                for name in maps
            },
        }

    def start(self, configurations: Sequence[Mapping[str, str]]) -> Postfix:
        """
        One Postfix, with a trivial-rewrite for each configuration.
        """
        postfix = Postfix(COMMON)
        with (postfix.home / "etc/master.cf").open("a") as f:
            for i, configuration in enumerate(configurations):
                f.write(f"route{i} unix - - n - - trivial-rewrite\n")
                for name, value in configuration.items():
                    f.write(f"  -o {{ {name} = {value} }}\n")
        self.addCleanup(postfix.close)
        postfix.run("start")
        return postfix

    def test_routes(self) -> None:
        """
        Generated addresses and tables.
        """
        dice = random.Random(7)
        folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        configurations = [
            self.write(folder / str(i), settings(dice)) for i in range(CONFIGURATIONS)
        ]
        postfix = self.start(configurations)
        asked = 0
        different: list[object] = []
        for i, configuration in enumerate(configurations):
            rewriter = Rewriter(postfix.home / f"spool/private/route{i}")
            resolver = Tables.open(
                Settings.of(**{**COMMON, **configuration}), float, lambda _: None
            ).addresses
            for _ in range(ADDRESSES):
                where, sender = address(dice), dice.choice(("", address(dice)))
                theirs = rewriter.resolve(sender, where)
                found = ours(resolver, sender, where)
                if found != theirs:
                    different.append((where, sender, theirs, found, configuration))
                for rule, local in (("local", True), ("remote", False)):
                    answer = rewriter.ask(
                        request="rewrite", rule=rule, address=external(where)
                    )
                    form = quote(resolver.rewrite(where, local))
                    if form != answer["address"] and not confused(where):
                        different.append(
                            (where, rule, answer["address"], form, configuration)
                        )
                asked += 3
            rewriter.close()
        self.assertEqual(different, [])
        self.assertGreater(asked, 1500)
        support.asked(asked)
