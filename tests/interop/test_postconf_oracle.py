"""
What C{postconf} says about a main.cf and a master.cf, and Debian's.

Files are generated; both programs show them in every way, and warn.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from shutil import rmtree

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.admin.postconf_case import Told
from tests.support import PATH, SLICE, require
from txmta.admin.postconf import Command, options

#: Pairs of files. With all that is shown of each, 10,000 lines in a slice.
EXAMPLES = 40 if SLICE else 250

oracle = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=SLICE,
    # Each question starts a program: a failure is told as it was found.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

#: What ours says and Debian's, being older, does not.
NEWER = re.compile(
    r"warning: (\S+: support for parameter"
    r"|See https://www.postfix.org/DEPRECATION"
    r"|\S+: #comment after other text)"
)

#: Warnings of these come in the order of the table there, and sorted here; or
#: while names are looked for, and here afterwards.
UNORDERED = re.compile('unused parameter: |open "')


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


#: Parameters with the same default on both sides, and names of one's own. Each
#: refers only to those before it: else, most files would be loops.
RANKED = (
    *("process_name", "service_name", "own_recipient_limit", "own_time_limit"),
    *("foo_domain", "foo_hosts", "foo_query", "foo_bind", "bar_ttl", "foo_nothing"),
    *("virtual_maps", "fallback_relay", "mail_name", "u1", "mydomain", "u2"),
    *("mydestination", "myorigin", "relay_domains", "relayhost", "u3"),
    *("virtual_alias_maps", "virtual_alias_domains", "smtpd_banner", "u4"),
    *("header_checks", "mime_header_checks", "body_checks", "smtp_fallback_relay"),
    *("queue_run_delay", "always_bcc", "transport_maps", "default_transport", "U5"),
    *("smtpd_helo_restrictions", "smtpd_sender_restrictions", "bounce_size_limit"),
    *("forward_path", "luser_relay", "default_rbl_reply", "mailbox_command"),
)
BUILT_IN = one_of(*(n for n in RANKED[12:-4] if n[0] not in "uU"))
OWN = one_of("u1", "u2", "u3", "u4", "U5")
OTHER = one_of(*RANKED[:12])
RAW = one_of(*RANKED[-4:])
NAMES = BUILT_IN | BUILT_IN | BUILT_IN | OWN | OWN | OTHER | RAW
ASKED = BUILT_IN | OWN | OTHER

_NAME = re.compile(r"\b[a-zA-Z]\w+\b(?=[ ?:)}]|$)|(?<=\$)\w+")


def ranked(name: str, text: str) -> str:
    """
    @return: the text; what it refers to stands before C{name}.
    """
    rank = RANKED.index(name)

    def lower(match: re.Match[str]) -> str:
        asked = match[0]
        if asked not in RANKED or RANKED.index(asked) < rank:
            return asked
        return RANKED[RANKED.index(asked) % rank] if rank else "nothing"

    return _NAME.sub(lower, text)


PLAIN = one_of("a", "b", "a.b", "1", "10", "2", "x-y", "[::1]:25", "é", '"', "$$", "")
TABLES = one_of(
    *("ldap:foo", "proxy:mysql:foo", "memcache:bar", "pgsql:foo", "sqlite:foo"),
    *("hash:/x", "ldap:/nonexistent.cf", "pipemap:{ldap:foo,hash:/a}", "ldap:./foo"),
    *("inline:{a=b}", "unionmap:{static:x, proxy:ldap:foo}", "regexp:{{/x/ y}}"),
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    both = st.tuples(ASKED, inner, inner)
    operators = one_of("==", "!=", "<", "<=", ">", ">=", " == ", " <=level ")
    compared = st.tuples(inner, operators, inner, inner, inner)
    return (
        st.tuples(ASKED, inner).map(lambda t: f"${{{t[0]}?{t[1]}}}")
        | st.tuples(ASKED, inner).map(lambda t: f"${{{t[0]}:{t[1]}}}")
        | both.map(lambda t: f"${{{t[0]}?{{{t[1]}}}:{{{t[2]}}}}}")
        | both.map(lambda t: f"${{ {t[0]} ? {{{t[1]}}} : {{{t[2]}}} }}")
        | compared.map(
            lambda t: f"${{{{{t[0]}}}{t[1]}{{{t[2]}}}?{{{t[3]}}}:{{{t[4]}}}}}"
        )
        | st.tuples(inner, inner).map("".join)
    )


MACROS = (
    ASKED.map("${}".format) | ASKED.map("${{{}}}".format) | ASKED.map("$({})".format)
)
LEVELS = one_of("0", "1", "2", "3", "3.6", "10")
TEXT = st.recursive(PLAIN | MACROS, nested, max_leaves=5).filter(
    lambda text: "level" not in text
) | st.tuples(one_of("<", "<=", ">", ">=", "==", "!="), LEVELS).map(
    lambda t: f"${{{{$compatibility_level}} {t[0]}level {{{t[1]}}} ? {{a}} : {{b}}}}"
)
SPACES = one_of(" ", " ", ", ", ",", "\n ", "\n\t", "  ", "\n# x\n  ", "\n\n ")
WORDS = st.lists(st.tuples(TEXT, SPACES).map("".join), min_size=0, max_size=5)


def line(name: str, words: Sequence[str]) -> str:
    text = ranked(name, "".join(words))
    return f"{name} = {text}".rstrip(" \n\t#x,") + "\n"


LINES = (
    st.tuples(NAMES, WORDS).map(lambda t: line(*t))
    | st.tuples(NAMES, WORDS).map(lambda t: line(*t))
    | st.tuples(BUILT_IN, st.lists(st.tuples(TABLES, SPACES).map("".join))).map(
        lambda t: line(*t)
    )
    | one_of("# comment\n", "\n", "  # more\n", "smtpd_restriction_classes = u1, u2\n")
)
MAIN = st.tuples(LEVELS, st.lists(LINES, max_size=25)).map(
    lambda t: f"compatibility_level = {t[0]}\n" + "".join(t[1])
)

#: Debian's warns of a freed name when a service sets one that it cannot set; and of
#: what is overwritten for C{-oname=value} without a space, which is not here.
SET = NAMES.filter(lambda name: name not in ("service_name", "process_name"))
SIMPLE = one_of("a", "b,c", "$u1", "$relayhost", "$u2$u1", "${u3}", "$service_name", "")
OPTIONS = (
    st.tuples(SET, SIMPLE).map(lambda t: f"-o {t[0]}={ranked(*t)}")
    | st.tuples(SET, WORDS)
    .map(lambda t: f"-o {{ {t[0]} = {ranked(t[0], ' '.join(t[1]))} }}")
    .map(lambda text: re.sub(r"\n#.*", "", text).replace("\n", " "))
    | one_of("-v", "-vv", "-D", "-o bogus")
)
ARGUMENTS = one_of("flags=R", "{a b}", "{ a b }", "${recipient}", "argv=/x", "x{y z}")
ENTRIES = st.tuples(
    one_of("smtp", "own", "foo", "127.0.0.1:25", "a/very/long/name", "relay"),
    one_of("unix", "inet", "fifo", "pass"),
    one_of("-", "y", "n"),
    one_of("-", "y", "n"),
    one_of("-", "y", "n"),
    one_of("-", "60", "60?", "0"),
    one_of("-", "0", "1000000000"),
    one_of("smtp", "smtpd", "pipe", "spawn", "other", "lmtp", "local"),
    st.lists(OPTIONS, max_size=4).map(tuple),
    st.lists(ARGUMENTS, max_size=3).map(tuple),
    one_of(" ", "\n  ", "\n# x\n\t", "  "),
).map(lambda t: " ".join(t[:8]) + "".join(t[10] + word for word in t[8] + t[9]) + "\n")
MASTER = st.lists(ENTRIES | one_of("# c\n", "\n"), max_size=6).map("".join)

#: Ways to show all of it.
SHOWN = (
    *("-n", "-nx", "-nf", "-nxf", "-nh", "-nH", "-nC user", "-nC builtin,service"),
    *("-M", "-Mf", "-Mx", "-Mfx", "-M */unix", "-M smtp own/inet x"),
    *("-F", "-Fx", "-Ff", "-Fh", "-F */*/command own/unix/chroot"),
    *("-P", "-Px", "-Pf", "-Ph", "-PH", "-P */*/relayhost own"),
    *("-x mydestination virtual_alias_maps mime_header_checks lmtp_fallback_relay",),
    *("-x own_time_limit own_recipient_limit u1 nobody", "-h u1 relayhost"),
    *("-C service", "-xC service", "-nx -o u3=$relayhost -o relayhost=over"),
)


class Answers:
    """
    @ivar output: lines of standard output.
    @ivar told: lines of standard error, the folder's name as C{.}.
    """

    def __init__(self, status: int, output: str, told: Sequence[str]) -> None:
        lines = [text for text in told if not NEWER.search(text)]
        self.status = status
        self.output = output
        # after a second of waiting, all is the same
        self.told = [text for text in lines if not UNORDERED.search(text)]
        self.told += sorted(text for text in lines if UNORDERED.search(text))

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    def __repr__(self) -> str:
        told = "\n".join(self.told)
        return f"status {self.status}\n{self.output}\n{told}\n"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        require("postconf")
        self.directory = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(rmtree, self.directory)
        self.lines = 0

    def folder(self, main: str, master: str) -> Path:
        """
        @return: a new one, with these files, an hour old: what was changed
            within the last second, Debian's reads again.
        """
        folder = Path(tempfile.mkdtemp(dir=self.directory))
        for name, text in (("main.cf", main), ("master.cf", master)):
            (folder / name).write_text(text, "utf-8")
            os.utime(folder / name, (1e9, 1e9))
        return folder

    def theirs(self, folder: Path, arguments: Sequence[str]) -> Answers:
        done = subprocess.run(
            ["postconf", "-c", str(folder), *arguments],
            capture_output=True,
            env={**os.environ, "PATH": PATH, "NORANDOMIZE": "1"},
            timeout=60,
        )
        told = done.stderr.decode("utf-8", "replace").splitlines()
        told = [text.removeprefix("postconf: ") for text in told]
        return Answers(done.returncode, done.stdout.decode("utf-8"), told)

    def ours(self, folder: Path, arguments: Sequence[str]) -> Answers:
        tool = Told()
        output = io.TextIOWrapper(io.BytesIO(), "utf-8")
        given = ["-c", str(folder), *arguments]
        with contextlib.redirect_stdout(output):
            status = tool.run(lambda: Command(tool, options(tool, given)).run())
        output.seek(0)
        told = "\n".join(tool.told)
        # unprintable characters are question marks in Postfix's messages
        told = re.sub(r"[^\x20-\x7e\n\x80-\U0010ffff]", "?", told)
        return Answers(status, output.read(), told.splitlines())

    def compare(self, folder: Path, commands: Sequence[str]) -> None:
        """
        Both show and say the same.
        """
        with ThreadPoolExecutor(4) as pool:
            asked = [command.split(" ") for command in commands]
            found = list(pool.map(lambda each: self.theirs(folder, each), asked))
        for arguments, theirs in zip(asked, found, strict=True):
            ours = self.ours(folder, arguments)
            self.lines += ours.output.count("\n") + len(ours.told)
            if ours != theirs:
                main = (folder / "main.cf").read_text("utf-8")
                master = (folder / "master.cf").read_text("utf-8")
                wrong = "\n".join(
                    unified_diff(
                        repr(theirs).splitlines(), repr(ours).splitlines(), lineterm=""
                    )
                )
                self.fail(
                    f"{wrong}\npostconf {' '.join(arguments)}\n--- main.cf\n{main}\n"
                    f"--- master.cf\n{master}"
                )


class ShowTests(Case):
    def test_shown(self) -> None:
        """
        Everything is shown the same, with the same warnings.
        """

        @oracle
        @given(MAIN, MASTER)
        def run(main: str, master: str) -> None:
            folder = self.folder(main, master)
            self.compare(folder, SHOWN)
            rmtree(folder)

        run()
        self.assertGreater(self.lines, EXAMPLES * 200)
