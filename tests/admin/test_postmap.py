"""
Tests of the C{postmap} and C{postalias} commands, and of C{newaliases}.
"""

from __future__ import annotations

import gc
import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support import require_library, require_root
from txmta.admin import newaliases, postalias, postmap, sendmail
from txmta.admin.common import Tool


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.text = self.folder / "table"
        (self.folder / "main.cf").write_text(
            f"alias_database = hash:{self.text}, cdb:{self.text}\n"
        )
        self.said: list[str] = []
        self.patch(Tool, "say", lambda _, text: self.said.append(text))
        self.patch(os, "environ", {**os.environ, "MAIL_CONFIG": str(self.folder)})

    def run_command(
        self,
        *arguments: str,
        given: bytes = b"",
        main: Callable[[list[str]], int] = postmap.main,
    ) -> tuple[int, str]:
        """
        @return: exit status, and what is written.
        """
        output = io.BytesIO()
        source = self.folder / "stdin"
        source.write_bytes(given)
        with source.open() as file:
            self.patch(sys, "stdin", file)
            self.patch(sys, "stdout", io.TextIOWrapper(output))
            status = main(list(arguments))
        # A process opens an LMDB file once.
        gc.collect()
        return status, output.getvalue().decode("utf-8", "surrogateescape")

    def postalias(self, *arguments: str, given: bytes = b"") -> tuple[int, str]:
        return self.run_command(*arguments, given=given, main=postalias.main)

    def check(
        self, expected: tuple[int, str], *arguments: str, given: bytes = b""
    ) -> None:
        got = self.run_command(*arguments, given=given)
        self.assertEqual(got, expected, (arguments, self.said))


class QueryTests(Case):
    def test_one_key(self) -> None:
        """
        The value, or exit status 1; the first table that has the key.
        """
        self.text.write_text("a 1\nb 2\nb 3\n")
        spec = f"hash:{self.text}"
        self.check((0, "1\n"), "-q", "a", spec)
        self.check((0, "1\n"), "-q", "A", spec)
        self.check((1, ""), "-fq", "A", spec)
        self.check((1, ""), "-q", "x", spec)
        self.check((1, ""), "-q", "", spec)
        self.check((0, "2\n"), "-q", "b", "inline:{a=9}", spec)
        self.check((0, '{"b": "2"}\n'), "-jq", "b", spec)
        self.assertEqual(self.said, [])

    def test_default_type(self) -> None:
        """
        A table without a type is one of default_database_type.
        """
        self.text.write_text("a 1\n")
        self.check((0, "1\n"), "-q", "a", str(self.text))
        with (self.folder / "main.cf").open("a") as main:
            main.write("default_database_type = inline\n")
        self.check((0, "y\n"), "-q", "x", "{x=y}")

    def test_all_keys(self) -> None:
        """
        C{-q -}: a line for each key that is there, by the first table; a table
        that nobody needs is not opened.
        """
        tables = ("inline:{a=1}", "inline:{a=2,b=3}", "nosuch:x")
        self.check((0, "a\t1\nB\t3\n"), "-q", "-", *tables, given=b"a\nB\n")
        self.check((1, ""), "-q", "-", *tables[:2], given=b"x\n\n")
        status, _ = self.run_command("-q", "-", *tables, given=b"x\n")
        self.assertEqual(status, 1)
        self.assertEqual(self.said, ["fatal: unsupported dictionary type: nosuch"])

    def test_utf8(self) -> None:
        """
        Keys and values that are not UTF-8 are told, unless C{-u}; then only
        ASCII is folded.
        """
        self.text.write_bytes(b"\xe4 1\n\xc3\x84 2\nx \xe4\n")
        spec = f"hash:{self.text}"
        self.check((1, ""), "-q", "-", spec, given=b"\xe4\n")
        self.assertIn('non-UTF-8 key "?"', self.said.pop())
        self.check((0, "\udce4\t1\n"), "-uq", "-", spec, given=b"\xe4\n")
        self.check((0, "2\n"), "-q", "\xe4", spec)
        self.check((1, ""), "-uq", "\xe4", spec)
        self.check((1, ""), "-q", "x", spec)
        self.assertIn("query error", self.said.pop())

    def test_closed_output(self) -> None:
        """
        Who reads no further is no error.
        """

        def write(_: str) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        self.patch(postmap, "write", write)
        self.patch(os, "dup2", lambda old, new: new)
        self.check((0, ""), "-q", "a", "inline:{a=b}")
        self.assertEqual(self.said, [])

    def test_empty_value(self) -> None:
        """
        It is given, with two warnings.
        """
        self.check((0, "\n"), "-q", "x", "inline:{x=}")
        self.assertIn("empty string result is not allowed", self.said[0])

    def test_message(self) -> None:
        """
        C{-h}, C{-b}, C{-m}: headers, whole; lines of the body; parts.
        """
        (self.folder / "rules").write_text("/^/ ok\n")
        rules = f"regexp:{self.folder}/rules"
        message = (
            b"A: b\n c\nContent-Type: multipart/mixed; boundary=x\n\n"
            b"--x\nD: e\n\ntext\n--x--\n"
        )
        first = "Content-Type: multipart/mixed; boundary=x\tok\n"
        headers = f"A: b\n c\tok\n{first}"
        self.check((0, headers), "-hq", "-", rules, given=message)
        self.check((0, f"{headers}D: e\tok\n"), "-hmq", "-", rules, given=message)
        body = "\tok\n--x\tok\n{}\tok\ntext\tok\n--x--\tok\n"
        expected = body.format("D: e\tok\n")
        self.check((0, expected), "-bq", "-", rules, given=message)
        expected = body.format("")
        self.check((0, expected), "-bmq", "-", rules, given=message)

    def test_unsupported(self) -> None:
        """
        Postfix's words for what cannot be.
        """
        index = self.folder / "x.db"
        for arguments, words in (
            (["-q", "a", "nosuch:x"], "unsupported dictionary type: nosuch"),
            (["-q", "a", ":x"], 'expecting "type:name" form instead of ":x"'),
            (["-q", "a", "hash:/nowhere/x"], "open database /nowhere/x.db: No such"),
            (["-q", "a", "cdb:/nowhere/x"], "open database /nowhere/x.cdb: No such"),
            (["-q", "a", "cidr:/nowhere/x"], "open /nowhere/x: No such file"),
            (["-q", "a", "texthash:/nowhere/x"], "open database /nowhere/x: No such"),
            (["-s", "static:x"], "table static:x: sequence operation is not supported"),
            (["-s", "proxy:static:x"], "can't sequence maps via the proxy service"),
            (["-d", "a", "cidr:x"], "cidr:x map requires O_RDONLY access mode"),
            (["-d", "a", "hash:/nowhere/x"], "open database /nowhere/x.db: No such"),
            (["-i", "static:x"], "static does not support bulk-mode creation."),
            (["hash:/nowhere/x"], "open /nowhere/x: No such file or directory"),
            (["proxy:hash:x"], "can't create maps via the proxy service"),
            (["-b", "hash:x"], 'specify -b -h or -m only with "-q -"'),
            (["-q", "a", f"hash:{self.folder}/x"], f"{index} is not read"),
        ):
            if "not read" in words:
                index.touch()
            self.said.clear()
            self.assertEqual(self.run_command(*arguments), (1, ""), arguments)
            self.assertIn(words, self.said[-1])

    def test_misused(self) -> None:
        """
        No table, no such option: the usage.
        """
        for arguments in ((), ("-x",), ("-q",), ("-q", "a"), ("-d", "a")):
            self.assertEqual(self.run_command(*arguments)[0], 1)
            self.assertIn("fatal: usage: postmap [-", self.said[-1])
        self.assertEqual(self.postalias("-F", "x")[0], 1)
        self.assertIn("fatal: usage: postalias [-", self.said[-1])

    def test_no_traceback(self) -> None:
        """
        Binary files and long lines: a message, or none.
        """
        self.text.write_bytes(bytes(range(256)) * 50 + b"x " + b"y" * 10_000_000)
        for kind in ("hash", "texthash", "cidr", "regexp", "pcre", "cdb"):
            status, _ = self.run_command("-q", "a", f"{kind}:{self.text}")
            self.assertEqual(status, 1)
        for index in ("cdb", "lmdb"):
            (self.folder / f"table.{index}").write_bytes(b"\xff" * 5000)
            self.said.clear()
            status, _ = self.run_command("-q", "a", f"{index}:{self.text}")
            self.assertEqual(status, 1)
            self.assertIn("fatal: ", self.said[-1])


class TextTests(Case):
    """
    C{hash:} tables, which are their text.
    """

    def test_check(self) -> None:
        """
        Without an option the text is checked, and nothing is written.
        """
        self.text.write_text("a 1\nb\nA 2\n")
        self.check((0, ""), f"hash:{self.text}")
        self.assertEqual(
            [line.partition("line ")[2] for line in self.said],
            [
                "2: expected format: key whitespace value -- ignoring this line",
                '3: duplicate entry: "a"',
            ],
        )
        self.assertFalse((self.folder / "table.db").exists())

    def test_add(self) -> None:
        """
        C{-i} adds lines; of a key that is there it tells, unless C{-w}, or
        replaces its value: C{-r}. Permissions stay.
        """
        self.text.write_text("# comment\na 1\n  more")
        self.text.chmod(0o640)
        spec = f"hash:{self.text}"
        self.check((0, ""), "-i", spec, given=b"b 2\nA 9\n")
        self.assertEqual(self.said, [f'warning: {spec}: duplicate entry: "a"'])
        self.check((0, ""), "-iw", spec, given=b"a 9\n")
        self.assertEqual(len(self.said), 1)
        self.assertEqual(self.text.read_text(), "# comment\na 1\n  more\nb\t2\n")
        self.check((0, ""), "-ir", spec, given=b"a 9\n")
        self.assertEqual(self.text.read_text(), "# comment\nb\t2\na\t9\n")
        self.assertEqual(stat.S_IMODE(self.text.stat().st_mode), 0o640)
        self.check((0, "b\t2\na\t9\n"), "-s", spec)

    def test_add_to_nothing(self) -> None:
        """
        A text that is not there is made.
        """
        self.check((0, ""), "-i", f"hash:{self.text}", given=b"b 2\n")
        self.assertEqual(self.text.read_text(), "b\t2\n")

    def test_delete(self) -> None:
        """
        An entry with its continuation lines, and not what is between them.
        """
        self.text.write_text("a 1\n# keep\n  more\nb 2\nA 3\n")
        spec = f"hash:{self.text}"
        self.check((0, ""), "-d", "A", spec)
        self.assertEqual(self.text.read_text(), "# keep\nb 2\n")
        self.check((1, ""), "-d", "a", spec)
        self.check((0, ""), "-d", "-", spec, given=b"x\nb\n")
        self.assertEqual(self.text.read_text(), "# keep\n")

    def test_content(self) -> None:
        """
        C{-F}: the content of files is found; one that is missing is told.
        """
        content = self.folder / "content"
        content.write_text("line\n")
        self.text.write_text(f"a {content}\nb /nowhere\n")
        spec = f"hash:{self.text}"
        self.check((0, ""), "-F", spec)
        self.assertIn("line 2: open /nowhere: No such file", self.said.pop())
        self.check((0, "line\n\n"), "-Fq", "a", spec)
        self.check((1, ""), "-Fq", "b", spec)
        self.assertIn("malformed BASE64 value: open /nowhere: No", self.said[-2])
        self.check((0, ""), "-iF", spec, given=f"c {content}\n".encode())
        content.write_text("new\n")
        self.check((0, "line\n\n"), "-Fq", "c", spec)


class IndexTests(Case):
    def test_cdb(self) -> None:
        """
        What is written is found again; duplicates; the permissions of the text.
        """
        self.text.write_text("".join(f"k{n} v{n}\n" for n in range(3000)) + "K1 x\n")
        self.text.chmod(0o600)
        spec = f"cdb:{self.text}"
        self.check((0, ""), spec)
        self.assertEqual(self.said, [f'warning: {spec}: duplicate entry: "k1"'])
        index = self.folder / "table.cdb"
        self.assertEqual(stat.S_IMODE(index.stat().st_mode), 0o600)
        self.text.unlink()
        keys = "".join(f"k{n}\n" for n in range(3010))
        expected = "".join(f"k{n}\tv{n}\n" for n in range(3000))
        self.check((0, expected), "-q", "-", spec, given=keys.encode())

    def test_options(self) -> None:
        """
        C{-r} takes the last of two, C{-w} says nothing, C{-p} is readable for
        all, C{-N} ends keys with a NUL.
        """
        self.text.write_text("a 1\na 2\n")
        self.text.chmod(0o600)
        spec = f"cdb:{self.text}"
        self.check((0, ""), "-rpN", spec)
        self.check((0, "2\n"), "-q", "a", spec)
        index = self.folder / "table.cdb"
        self.assertEqual(stat.S_IMODE(index.stat().st_mode), 0o644)
        self.assertIn(b"a\x002\x00", index.read_bytes())
        self.check((0, ""), "-w", spec)
        self.check((0, "1\n"), "-q", "a", spec)
        self.assertEqual(self.said, [])

    def test_lmdb(self) -> None:
        """
        Made, added to, deleted from, listed.
        """
        require_library("lmdb")
        self.text.write_text("b 2\na 1\n")
        spec = f"lmdb:{self.text}"
        self.check((0, ""), spec)
        self.check((0, ""), "-i", spec, given=b"c 3\na 9\n")
        self.assertEqual(self.said, [f'warning: {spec}: duplicate entry: "a"'])
        self.check((0, "a\t1\nb\t2\nc\t3\n"), "-s", spec)
        self.check((0, ""), "-d", "B", spec)
        self.check((1, ""), "-d", "B", spec)
        self.check((0, "a\t1\nc\t3\n"), "-s", spec)
        self.check((0, ""), spec)
        self.check((0, "a\t1\nb\t2\n"), "-s", spec)

    def test_failed_build(self) -> None:
        """
        A file that cannot be made changes nothing.
        """
        require_library("lmdb")
        self.text.write_text("a 1\n")
        spec = f"lmdb:{self.text}"
        self.check((0, ""), spec)
        self.text.write_text(f"b 2\n{'k' * 600} 3\n")
        self.check((1, ""), spec)
        self.assertIn("write error", self.said[-1])
        self.check((0, "a\t1\n"), "-s", spec)

    def test_as_owner(self) -> None:
        """
        Root writes as the owner of the text, unless C{-o}.
        """
        require_root("changes the owner of a file")
        self.text.write_text("a 1\n")
        os.chown(self.text, 12345, 12345)
        other = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, other)
        (other / "table").write_text("a 1\n")
        for path in (other / "table", other):
            os.chown(path, 12346, 12346)
        self.addCleanup(os.setgroups, os.getgroups())
        self.addCleanup(os.setegid, 0)
        self.addCleanup(os.seteuid, 0)
        self.check((1, ""), f"cdb:{other}/table", f"cdb:{self.text}")
        os.seteuid(0)
        os.setegid(0)
        self.assertEqual((other / "table.cdb").stat().st_uid, 12346)
        self.assertIn("Permission denied", self.said[-1])
        self.check((0, ""), "-o", f"cdb:{self.text}")
        self.assertEqual((self.folder / "table.cdb").stat().st_uid, 0)
        self.check((0, ""), "-io", f"hash:{self.text}", given=b"b 2\n")
        self.assertEqual(self.text.stat().st_uid, 12345)
        self.check((1, ""), "-d", "b", f"hash:{self.text}")
        os.seteuid(0)
        self.assertIn("Permission denied", self.said[-1])


class AliasTests(Case):
    def test_query(self) -> None:
        """
        Names are without quotes; what is listed has colons.
        """
        self.text.write_text('Root: a, "b c"@d\n"x y": z\n@bad: x\n')
        spec = f"hash:{self.text}"
        self.assertEqual(self.postalias(spec), (0, ""))
        self.assertEqual(len(self.said), 1)
        self.assertIn("line 3: name must be local", self.said[0])
        self.assertEqual(
            self.postalias("-q", "-", spec, given=b"ROOT\nx y\n"),
            (0, 'ROOT:\ta, "b c"@d\nx y:\tz\n'),
        )

    def test_add(self) -> None:
        """
        A name that needs quotes has them in the text.
        """
        self.text.write_text("root: a\n")
        spec = f"hash:{self.text}"
        self.postalias("-i", spec, given=b'"x y": z\n"q\\"": p\nn: m\n')
        self.assertEqual(self.text.read_text(), 'root: a\n"x y": z\n"q\\"": p\nn: m\n')
        self.assertEqual(self.postalias("-q", 'q"', spec), (0, "p\n"))
        self.assertEqual(self.postalias("-d", "x y", spec), (0, ""))
        self.assertEqual(self.text.read_text(), 'root: a\n"q\\"": p\nn: m\n')

    def test_signature(self) -> None:
        """
        An index has the keys by which Sendmail and NIS know it.
        """
        self.text.write_text("root: a\n")
        self.assertEqual(self.postalias(f"cdb:{self.text}"), (0, ""))
        self.assertEqual(self.postalias("-q", "@", f"cdb:{self.text}"), (0, "@\n"))

    def test_newaliases(self) -> None:
        """
        C{newaliases} and C{sendmail -bi} make what alias_database names.
        """
        index = self.folder / "table.cdb"
        for main in (
            lambda given: newaliases.main(given),
            lambda given: sendmail.main(["-bi"]),
        ):
            self.text.write_text("root: a\nbad\n")
            status, _ = self.run_command(main=main)
            self.assertEqual(status, 0)
            self.assertTrue(index.exists())
            self.assertIn("line 2: need name:value pair", self.said[0])
            index.unlink()
        self.text.unlink()
        self.assertEqual(self.run_command(main=newaliases.main)[0], 1)
        self.assertIn("No such file or directory", self.said[-1])
