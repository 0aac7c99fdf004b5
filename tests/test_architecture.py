"""
Who may import whom, who may touch the world, and how large things may get.

The house stays a house because this test says so; C{docs/architecture.md}
gives the reasons.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txmta

ROOT = Path(txmta.__file__).parent

#: Packages that each package may import, besides itself, C{txmta.config} and
#: the modules at the top of C{txmta}. They meet in C{build.py}.
MAY_IMPORT = {
    "admin": {"maps", "master", "queue"},  # commands do what the server does
    "cleanup": set[str](),
    "config": set[str](),
    "delivery": {"smtp"},  # the smtp agent drives the smtp client
    "dns": set[str](),
    "log": set[str](),
    "maps": set[str](),
    "master": set[str](),
    "queue": set[str](),
    "rewrite": set[str](),
    "smtp": set[str](),
}

#: Modules and a package at the top that know the packages; nobody below
#: imports them.
COMPOSITION = {
    *("tap", "build", "check", "report", "roles", "start_check", "test_suite"),
    *("explain", "finger"),
    *("child", "child_process", "ground", "multi", "single", "start"),
}

#: Modules that decide and do not act.
PURE = (
    "address.py",
    "errors.py",
    "events.py",
    "header_addresses.py",
    "lines.py",
    "mime.py",
    "mime_fields.py",
    "model.py",
    "quoted_printable.py",
    "status.py",
    "tls_policy.py",
    "admin/header_recipients.py",
    "admin/import_sendmail_access.py",
    "admin/import_sendmail_defines.py",
    "admin/import_sendmail_finish.py",
    "admin/import_sendmail_m4.py",
    "admin/import_sendmail_mailertable.py",
    "admin/import_sendmail_mc.py",
    "admin/import_sendmail_options.py",
    "admin/import_sendmail_plan.py",
    "admin/import_sendmail_read.py",
    "admin/import_sendmail_report.py",
    "admin/import_sendmail_tables.py",
    "admin/postconf_order.py",
    "admin/postconf_patterns.py",
    "admin/postconf_print.py",
    "admin/postmap_options.py",
    "admin/sendmail_options.py",
    "cleanup/addresses.py",
    "cleanup/canonical.py",
    "cleanup/characters.py",
    "cleanup/duplicates.py",
    "cleanup/headers.py",
    "cleanup/map_results.py",
    "cleanup/mapping.py",
    "cleanup/masquerade.py",
    "cleanup/needs.py",
    "cleanup/questions.py",
    "cleanup/strays.py",
    "cleanup/virtual_alias.py",
    "config/declare.py",
    "config/expansion.py",
    "config/master_lines.py",
    "delivery/command_copy.py",
    "delivery/copy.py",
    "delivery/destinations.py",
    "delivery/expansion.py",
    "delivery/expansion_state.py",
    "delivery/local_names.py",
    "delivery/local_outcome.py",
    "delivery/mbox.py",
    "delivery/pipe_attributes.py",
    "delivery/pipe_macros.py",
    "delivery/plugin_attributes.py",
    "delivery/questions.py",
    "delivery/sysexits.py",
    "delivery/targets.py",
    "delivery/user_expansion.py",
    "dns/cache.py",
    "dns/resolv_conf.py",
    "log/postfix.py",
    "master/frames.py",
    "master/lookups.py",
    "master/records.py",
    "master/wire.py",
    "master/wire_fields.py",
    "master/wire_reports.py",
    "master/wire_work.py",
    "maps/alias_syntax.py",
    "maps/braces.py",
    "maps/cdb.py",
    "maps/client_file.py",
    "maps/ldap_search.py",
    "maps/patterns.py",
    "maps/posix_syntax.py",
    "maps/replacement.py",
    "maps/resp.py",
    "maps/statement.py",
    "maps/templates.py",
    "maps/file_values.py",
    "maps/text.py",
    "maps/text_edit.py",
    "maps/wire.py",
    "queue/maildrop.py",
    "queue/traces.py",
    "report/items.py",
    "report/render.py",
    "report/words.py",
    "rewrite/standard.py",
    "delivery/smtp_hosts.py",
    "delivery/smtp_recipients.py",
    "smtp/client_commands.py",
    "smtp/client_dane.py",
    "smtp/client_tls_level.py",
    "smtp/client_tls_names.py",
    "smtp/client_tls_policy.py",
    "smtp/client_engine.py",
    "smtp/client_events.py",
    "smtp/client_exchange.py",
    "smtp/client_forwarding.py",
    "smtp/client_handshake.py",
    "smtp/authentication.py",
    "smtp/failures.py",
    "smtp/sasl/dovecot_wire.py",
    "smtp/sasl/mechanisms.py",
    "smtp/sasl/options.py",
    "smtp/sasl/scram.py",
    "smtp/client_login.py",
    "smtp/client_sasl.py",
    "smtp/client_probe.py",
    "smtp/access/dns_lists.py",
    "smtp/access/policy_request.py",
    "smtp/postscreen/dummy.py",
    "smtp/postscreen/effects.py",
    "smtp/postscreen/results.py",
    "smtp/postscreen/rules.py",
    "smtp/postscreen/screen.py",
    "smtp/postscreen/verdicts.py",
    "smtp/client_trouble.py",
    "smtp/replies.py",
    "smtp/commands.py",
    "smtp/content.py",
    "smtp/data.py",
    "smtp/dialogue.py",
    "smtp/engine.py",
    "smtp/attributes.py",
    "smtp/envelopes.py",
    "smtp/haproxy.py",
    "smtp/known.py",
    "smtp/parameters.py",
    "smtp/privileged.py",
    "smtp/requests.py",
    "smtp/rules.py",
    "smtp/stream.py",
    "smtp/stuffing.py",
    "smtp/transcript.py",
)

#: What a decision may not touch.
IMPURE = {"twisted", "os", "io", "random", "socket", "time", "threading", "select"}

#: A possessive or atomic group, C{(...)*+} or C{(?>...)}, in a pattern. That
#: of one character, C{[...]*+}, is none.
POSSESSIVE = re.compile(
    r"""(?<!\\)(?:\\\\)*      # what follows is not escaped
    (?:\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>)""",
    re.VERBOSE,
)

#: Lines of a file, of a function or method, of a class. What is larger says
#: why in a comment that starts with C{Over budget:}.
FILE_BUDGET, FUNCTION_BUDGET, CLASS_BUDGET = 350, 50, 250


def sources() -> Iterator[Path]:
    yield from sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """
    @return: every name that a file imports, but those for type checkers only.
    """
    names: set[str] = set()
    for node in _run_time_nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_time_nodes(child)


class DirectionTests(SynchronousTestCase):
    def test_every_package_is_listed(self) -> None:
        """
        A new package must say whom it may import.
        """
        found = {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()}
        self.assertEqual(found - COMPOSITION, set(MAY_IMPORT))

    def test_siblings(self) -> None:
        """
        Packages do not import each other.
        """
        for package, allowed in MAY_IMPORT.items():
            forbidden = set(MAY_IMPORT) - allowed - {package, "config"} | COMPOSITION
            for path in (ROOT / package).rglob("*.py"):
                for name in imported(path):
                    part = name.split(".")[1:2] if name.startswith("txmta.") else []
                    self.assertFalse(
                        forbidden & set(part), f"{package}/{path.name} imports {name}"
                    )

    def test_top_modules(self) -> None:
        """
        The modules that packages share import no package.
        """
        for path in ROOT.glob("*.py"):
            if path.stem in COMPOSITION:
                continue
            for name in imported(path):
                part = name.split(".")[1:2] if name.startswith("txmta.") else []
                self.assertFalse(set(MAY_IMPORT) & set(part), f"{path.name}: {name}")

    def test_reactor(self) -> None:
        """
        Only the twistd plug-in's module imports the reactor, and that of a
        child, after it was installed.
        """
        users = {
            str(path.relative_to(ROOT))
            for path in sources()
            if "twisted.internet.reactor" in imported(path)
        }
        self.assertEqual(users, {"tap.py", "child_process.py"})

    def test_purity(self) -> None:
        """
        Decision modules neither wait, nor read clocks, files or sockets.
        """
        for module in PURE:
            touched = {name.split(".")[0] for name in imported(ROOT / module)}
            self.assertFalse(touched & IMPURE, module)


class PatternTests(SynchronousTestCase):
    def test_possessive_groups(self) -> None:
        """
        No pattern has a possessive or an atomic group: Python before 3.11.5
        finds the wrong end of one, or raises an error.
        """
        for path in sources():
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(
                    node.value, str | bytes
                ):
                    text = node.value
                    if isinstance(text, bytes):
                        text = text.decode("latin-1")
                    where = f"{path.relative_to(ROOT)}, line {node.lineno}"
                    self.assertIsNone(POSSESSIVE.search(text), where)

    def test_it_would_be_seen(self) -> None:
        for text in ("(a)*+", "(?:ab)++", r"\\)?+", "(a){2,3}+", "(a){2}+", "(?>a)"):
            self.assertIsNotNone(POSSESSIVE.search(text), text)
        for text in ("a*+", "[)]++", r"\)*+", "(a+)+", "(a)*", r"\(?>", "[^)]*+(a)"):
            self.assertIsNone(POSSESSIVE.search(text), text)


class SizeTests(SynchronousTestCase):
    def test_budgets(self) -> None:
        """
        What is large says why.
        """
        large: list[str] = []
        for path in sources():
            text = path.read_text("utf-8")
            if "# Over budget:" in text:
                continue
            name = str(path.relative_to(ROOT))
            lines = text.count("\n")
            if lines > FILE_BUDGET:
                large.append(f"{name}: {lines} lines")
            large += [f"{name}: {what}" for what in _large(ast.parse(text))]
        self.assertEqual(large, [])


def _large(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            limit = CLASS_BUDGET if isinstance(node, ast.ClassDef) else FUNCTION_BUDGET
            if size > limit:
                yield f"{node.name} has {size} lines"
