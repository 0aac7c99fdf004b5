"""
Our C{postmap} and C{postalias}, and Debian's: the same texts, keys and options.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.postmap_pair import Ours, Said, at_once, examples, theirs
from tests.support import asked, require, require_library, require_table_types

#: C{theirs}, or an C{Ours}.
Command = Callable[..., Said]

#: Texts; of each some hundred questions are asked.
TEXTS = 6

#: Messages for C{-b}, C{-h} and C{-m}.
MESSAGES = 8

_MAIN_CF = "compatibility_level = 3.6\nmyhostname = mail.example.com\n"

_CHARACTERS = st.one_of(
    st.sampled_from("abKZ09@.+-_"),
    st.sampled_from("abKZ09@.+-_"),
    st.sampled_from('"\\#:,${}=()<>!|;'),
    st.sampled_from("\xc4\xe4\xdf\u0130\u017f\u03a3\u1e9e\u65e5\xa0\u2003"),
)
_WORDS = st.text(_CHARACTERS, min_size=1, max_size=8)
_QUOTED = st.text(st.sampled_from("aB @.\\"), max_size=5).map('"{}"'.format)
_KEYS = _WORDS | _WORDS | _QUOTED
_BLANK = st.sampled_from((" ", "\t", "  ", " \t"))
_ODD = st.sampled_from(("\n", " \n", "#\n", "  # x\n", "key\tvalue\n", "Key x\n"))
_LINES = (
    st.builds("{}{}{}\n".format, _KEYS, _BLANK, _WORDS)
    | st.builds("{}{}{} {}\n".format, _KEYS, _BLANK, _WORDS, _WORDS)
    | st.builds(" {}\n".format, _WORDS)
    | st.builds("{}\n".format, _WORDS)
    | _ODD
)
_ALIASES = (
    st.builds("{}: {}\n".format, _KEYS, _WORDS)
    | st.builds("{}:{}, {}\n".format, _KEYS, _WORDS, _QUOTED)
    | st.builds(" , {}\n".format, _WORDS)
    | st.builds("{}\n".format, _WORDS)
    | st.sampled_from(("a b: c\n", "a@b: c\n", "root: x\n", ": y\n", "n:\n"))
    | _ODD
)

#: What is not compared, for it tells when and where an index was made.
_SIGNATURE = re.compile(r"^(?:YP_\w+|@):\t.*\n", re.MULTILINE)

_HEADER = st.sampled_from(
    (
        *("Subject: x", "X-Long: a\n b\n\tc", "Bad header", "From nobody", "A : b"),
        *("Content-Type: text/plain", "Content-Type: message/rfc822", "Empty:"),
        *("Content-Type: multipart/mixed; boundary=x", "MIME-Version: 1.0"),
        'Content-Type: multipart/digest; boundary="y z"',
    )
)
_BODY = st.sampled_from(("", "text", "--x", "--x--", "--y z", "--y z--", " x", "a: b"))
_MESSAGES = st.lists(_HEADER | _HEADER | _BODY, max_size=14).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)

#: What is wrong, or cannot be: our words are Postfix's, exit status and all.
COMMANDS = (
    *("-q a nosuch:x", "-q a :x", "-q a hash:none", "-q a btree:none", "none"),
    *("-q a lmdb:none", "-q a cdb:none", "-q a cidr:none", "-q a regexp:none"),
    *("-q a pcre:none", "-q a static:", "-q a fail:x", "-s fail:x", "-d a fail:x"),
    *("-i fail:x", "hash:none", "-s hash:none", "-d a hash:none", "nosuch:none"),
    *("-s static:x", "-s cidr:rules", "-s regexp:rules", "-s cdb:table", "proxy:x"),
    *("-s inline:{a=b}", "-s nosuch:x", "-s proxy:static:x", "-s", "-d a", "-q a"),
    *("-d a cidr:rules", "-d a regexp:rules", "-d a pcre:rules", "-d a nosuch:x"),
    *("-d a static:x", "-d a inline:{a=b}", "-d a texthash:table", "-d a cdb:table"),
    *("-i cdb:table", "-i cidr:rules", "-i nosuch:x", "-i static:x"),
    *("cidr:rules", "texthash:table", "regexp:rules", "static:table", "nosuch:table"),
    *("-b hash:table", "-h -q a hash:table", "-m -d a hash:table", "-mq - hash:table"),
    *("-q a inline:{a=}", "-q a inline:{}", "-q a inline:{a}", "-q a inline:x"),
    *("-q a static:{x", "-q a static:{x}y", "-q a randmap:{}", "-q a environ:x"),
    *("-Fq a static:none", "-Fq a static:table", "-Fq a inline:{a=none}"),
    *("-Fq a inline:{a=table}", "-Fq a randmap:{none}", "-Fq a randmap:{table}"),
    *("-Fq a hash:table", "-Fs hash:table", "-Fq a cidr:rules", "-Fq 1.1.1.1 cidr:f"),
    *("-Fq a regexp:g", "-Fq a pcre:g", "-Fs texthash:h", "-Fq 2.2.2.2 cidr:f"),
    *("-q a hash:table", "-q A hash:table", "-fq A hash:table", "-q a table"),
    *("-q b hash:table", "-q x hash:table", "-q a static:x", "-q zz inline:{a=b}"),
    *("-q a -q b hash:table", "-d a -q b hash:table", "-q a -d b hash:table"),
    *("-q a texthash:none", "-q a unix:none", "-q a sqlite:/none", "-q a mysql:/none"),
    *(
        "-q a pgsql:/none",
        "-q a socketmap:x",
        "-q a unionmap:{nosuch:x}",
        "-q a cidr:{",
    ),
    *("-q a pipemap:{nosuch:x}", "-q a unionmap:x", "-q a pipemap:{}", "-q a fail:"),
    *("-q a cidr:/tmp", "-q a texthash:/tmp", "-q a cidr:{{x}}"),
    *("-q a pcre:{x}", "-q a regexp:{{/a/}}", "-q a environ:", "-q a static:{x}"),
    *("-q a cidr:rules", "-q a pcre:rules", "-q a regexp:rules", "-uq A hash:table"),
)

#: Postfix's newer versions, or we, say another thing than Debian's Postfix.
EXPLAINED = {
    "specify only one of -s -q or -d": "specify only one of -d -i -q or -s",
    ". Is the postfix-nosuch package installed?": "",
    "specify only one of -s or -q or -d": "specify only one of -d -i -q or -s",
}


class Pair(SynchronousTestCase):
    all_types = False

    def setUp(self) -> None:
        require("postmap")
        require_library("lmdb")
        self.ours = Ours(self.all_types)
        self.addCleanup(self.ours.close)
        self.folder = Path(tempfile.mkdtemp(prefix="tx"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.prepare(self.folder)
        require_table_types(str(self.folder), "lmdb", "cdb", "pcre")

    def prepare(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "main.cf").write_text(_MAIN_CF)
        (folder / "master.cf").touch()
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            if (there := Path("/etc/postfix") / name).exists():
                (folder / name).symlink_to(there)
        return folder

    def twins(self, name: str, text: str) -> tuple[Path, Path]:
        """
        @return: folders for Postfix and for us, both with this table.
        """
        both = []
        for whose in ("theirs", "ours"):
            folder = self.prepare(self.folder / f"{name}-{whose}")
            (folder / "table").write_text(text, encoding="utf-8", newline="")
            both.append(folder)
        return both[0], both[1]


class TextTests(Pair):
    def test_postmap(self) -> None:
        """
        Each reads what the other has made, and says the same of the text.
        """
        self.check("postmap", _LINES)

    def test_postalias(self) -> None:
        """
        The same with names of aliases.
        """
        self.check("postalias", _ALIASES)

    def check(self, name: str, lines: st.SearchStrategy[str]) -> None:
        texts = st.lists(lines, min_size=60, max_size=90).map("".join)
        keys = st.lists(_KEYS, min_size=60, max_size=90)
        cases = examples(st.tuples(texts, keys), TEXTS)
        counts = at_once(
            lambda n: self.compare(name, f"{name}{n}", *cases[n]), range(len(cases))
        )
        asked(sum(counts))
        self.assertGreater(sum(counts), 2000)

    def compare(self, name: str, folder: str, text: str, others: list[str]) -> int:
        """
        @return: how many questions were asked.
        """
        first, second = self.twins(folder, text)
        words = re.split(r"[ \t\n\r\x0b\x0c:,]+", text)
        keys = {f for k in (*words, *others) for f in (k, k.swapcase(), k.strip('"'))}
        wanted = sorted(k for k in keys if k and "\n" not in k)
        given = "".join(f"{key}\n" for key in wanted).encode()
        commands: tuple[Command, Command] = (theirs, self.ours)
        for kind in ("lmdb", "cdb", "hash"):
            built = [
                run(place, f"{kind}:table", name=name)
                for run, place in zip(commands, (first, second), strict=True)
            ]
            self.assertEqual(built[0].status, built[1].status, built)
            self.assertEqual(_warnings(built[1]), _warnings(built[0]), folder)
            # Each reads what the other has made; hash: is a text for us.
            places = (first, second) if kind == "hash" else (second, first)
            answers = [
                run(place, "-q", "-", f"{kind}:table", name=name, text=given)
                for run, place in zip(commands, places, strict=True)
            ]
            got = [_SIGNATURE.sub("", each.output) for each in answers]
            self.assertEqual(got[1], got[0], (kind, folder))
        listed = [
            sorted(
                _SIGNATURE.sub(
                    "", run(place, "-s", f"{kind}:table", name=name).output
                ).split("\n")
            )
            for run, place, kind in (
                (commands[0], second, "lmdb"),
                (commands[1], first, "lmdb"),
                (commands[1], second, "hash"),
            )
        ]
        self.assertEqual(listed[0], listed[1])
        self.assertEqual(listed[0], listed[2])
        return len(wanted) * 3


class UpdateTests(Pair):
    def test_updates(self) -> None:
        """
        C{-i}, C{-d}, C{-r}, C{-w}, C{-f}: what is in the table afterwards.
        """
        steps = (
            ("-i", "c 3\na 9\n"),
            ("-i -r", "a 8\nB 7\n"),
            ("-i -w", "a 6\nd 5\n"),
            ("-d a", ""),
            ("-d a", ""),
            ("-d -", "c\nx\nB\n"),
            ("-i", 'bad\n e 1\n"x y z\n:: 3\n'),
            ("-d -", "d\n"),
        )
        commands: tuple[Command, Command] = (theirs, self.ours)
        for kind in ("lmdb", "hash"):
            both = self.twins(kind, "a 1\nb 2\n# c\nb 3\n")
            runs = list(zip(commands, both, strict=True))
            for run, place in runs:
                run(place, f"{kind}:table")
            for options, given in steps:
                arguments = [*options.split(" "), f"{kind}:table"]
                said = [run(p, *arguments, text=given.encode()) for run, p in runs]
                self.assertEqual(said[1].status, said[0].status, (options, said))
                self.assertEqual(_warnings(said[1]), _warnings(said[0]), options)
                after = [run(p, "-s", f"{kind}:table") for run, p in runs]
                self.assertEqual(_lines(after[1]), _lines(after[0]), (kind, options))


class MessageTests(Pair):
    def test_messages(self) -> None:
        """
        The same keys of the same messages.
        """
        (self.folder / "rules").write_text("/^/ ok\n")
        messages = examples(_MESSAGES, MESSAGES)
        options = ("h", "b", "hb", "hm", "bm", "hbm")
        cases = [(m, o) for m in messages for o in options]

        def both(case: tuple[str, str]) -> tuple[Said, Said]:
            message, option = case
            arguments = (f"-{option}q", "-", "regexp:rules")
            text = message.encode()
            return (
                theirs(self.folder, *arguments, text=text),
                self.ours(self.folder, *arguments, text=text),
            )

        for case, (first, second) in zip(cases, at_once(both, cases), strict=True):
            self.assertEqual(second, first, case)
        asked(len(cases))


class WordsTests(Pair):
    all_types = True

    def test_words(self) -> None:
        """
        Exit status, output and errors of commands that are wrong, or not.
        """
        require_table_types(str(self.folder), "sqlite", "mysql")
        require_library("pymysql")
        both = self.twins("words", "a 1\nB 2\n")
        for place in both:
            (place / "rules").write_text("/a/ x\n10.0.0.0/8 y\n")
            (place / "f").write_text("1.1.1.1 table\n2.2.2.2 none\n")
            (place / "g").write_text("/a/ table\n/b/ none\n")
            (place / "h").write_text("a table\nb none\nc table, rules\n")
        theirs(both[0], "hash:table")
        theirs(both[0], "cdb:table")
        self.ours(both[1], "cdb:table")

        def run(command: str) -> tuple[Said, Said]:
            arguments = command.split(" ")
            return theirs(both[0], *arguments), self.ours(both[1], *arguments)

        for command, (first, second) in zip(
            COMMANDS, at_once(run, COMMANDS), strict=True
        ):
            self.assertEqual(second.status, first.status, (command, first, second))
            self.assertEqual(_lines(second), _lines(first), command)
            self.assertEqual(_errors(second), _errors(first), command)


def _lines(said: Said) -> list[str]:
    return sorted(said.output.split("\n"))


def _errors(said: Said) -> list[str]:
    """
    @return: without what is told more than once, and in Postfix's newest words.
    """
    lines: dict[str, None] = {}
    for line in said.errors.split("\n"):
        for old, new in EXPLAINED.items():
            line = line.replace(old, new)
        lines[line] = None
    # Ours has C{-j}. A table is listed in another order.
    return sorted(re.sub(r"\[-bfFhij?mnNop", "[-bfFhimnNop", e) for e in lines)


def _warnings(said: Said) -> list[str]:
    """
    @return: without what differs: we name a line where Postfix names an index
        file; later versions than Debian's say more often that a line is ignored;
        what is not ASCII has marks in its place. An alias named @ is one of the
    keys that an index has, and a text has not.
    """
    found = []
    for line in said.errors.split("\n"):
        text = line.replace(" -- ignoring this line", "")
        text = re.sub(r"\S+?(?:, line \d+)?: duplicate entry", "duplicate entry", text)
        if text.endswith('duplicate entry: "@"'):
            continue
        found.append("".join(c if " " <= c <= "~" else "?" for c in text))
    return [re.sub(r"\?+", "?", each) for each in found]
