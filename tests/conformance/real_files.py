"""
main.cf and master.cf of sites, many of them templates, made into files that
can be read and started.

Owns: what stands for template words, tables that are not here, ports.
Knows nothing of: what is tested with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.support import cases
from txmta.config.declare import to_words
from txmta.config.lines import logical_lines
from txmta.config.master_cf import Service, parse_master_cf
from txmta.config.settings import Definition, Settings
from txmta.errors import ConfigError

#: What a template word may stand for; the first that its parameter takes.
WORDS = ("mail.example.com", "10485760", "+", "yes", "30s", "127.0.0.1", "none")

#: What takes the place of a template word until a parameter has chosen.
MARK = "template-word"

_BRANCHES = re.compile(
    r"\{%-?\s*if\b[^%]*%\}([^\n]*?)(?:\{%-?\s*else\s*-?%\}[^\n]*?)?\{%-?\s*endif\s*-?%\}"
)
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_DEFAULT = re.compile(r"\{\{[^{}]*default\(['\"]([^'\"]*)['\"]\)[^{}]*\}\}")
_WORD = re.compile(
    r"\{\{.*?\}\}|%\{\w+\}|%\(\w+\)s|<%.*?%>|@@\w+@@|\bPH_[A-Z0-9_]+|(?<== )%\w+$",
    re.MULTILINE,
)
_OFF = re.compile(r"^%\{\w+_disabled\}.*\n", re.MULTILINE)
_ON = re.compile(r"^%\{\w+_enabled\}", re.MULTILINE)

#: Tables that ask somebody who is not here.
_SERVERS = ("ldap", "memcache", "mysql", "pgsql", "redis", "socketmap", "sqlite", "tcp")
_FILES = ("btree", "cdb", "cidr", "dbm", "hash", "lmdb", "pcre", "regexp", "texthash")


def folders() -> Iterator[Path]:
    """
    @return: those with a main.cf or a master.cf.
    """
    found = {
        path.parent
        for name in ("main.cf*", "master.cf*")
        for path in cases("realworld-config").rglob(name)
    }
    yield from sorted(found)


def read(folder: Path, name: str) -> str:
    """
    @return: the text of C{main.cf} or C{master.cf}, whatever follows its name,
        without template words; C{""} if there is none.
    """
    paths = sorted(folder.glob(f"{name}*"), key=lambda path: len(path.name))
    return without_templates(paths[0].read_text("utf-8", "replace")) if paths else ""


def without_templates(text: str) -> str:
    text = _OFF.sub("", _COMMENT.sub("", text))
    text = _ON.sub("", text)
    text = _BRANCHES.sub(r"\1", text)
    # A line of tags only is none; elsewhere a tag is nothing.
    text = re.sub(r"^[ \t]*\{%[^\n]*%\}[ \t]*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\{\{-.*\}\}$", "", text, flags=re.MULTILINE)
    text = _WORD.sub(MARK, _TAG.sub("", _DEFAULT.sub(r"\1", text)))
    # A word for the type of a database.
    return text.replace(f"{MARK}:/", "mysql:/")


def settled(main_cf: str) -> str:
    """
    @return: with a value of the right kind for each template word.
    """
    lines = []
    for line in logical_lines(main_cf):
        name = line.text.partition("=")[0].strip()
        value = line.text.partition("=")[2].strip()
        lines.append(_with_word(name, value) if MARK in line.text else line.text)
    return "".join(f"{line}\n" for line in lines)


def _with_word(name: str, text: str) -> str:
    for word in WORDS:
        value = text.replace(MARK, word)
        try:
            Settings({name: Definition(value, "")})
        except ConfigError:
            continue
        return f"{name} = {value}"
    return f"{name} = {text.replace(MARK, WORDS[0])}"


def settled_services(master_cf: str) -> str:
    """
    @return: as L{settled}, for C{-o name=value}.
    """

    def fill(match: re.Match[str]) -> str:
        return match[1] + _with_word(*match[2].split("=", 1)).replace(" = ", "=")

    text = re.sub(rf"(-o )(\w+=\S*{MARK}\S*)", fill, master_cf)
    # A number of processes; an address, a port.
    text = re.sub(
        rf"^(\w\S*(?:[ \t]+\S+){{5}}[ \t]+){MARK}", r"\g<1>2", text, flags=re.M
    )
    text = re.sub(
        rf"^({MARK}:)?{MARK}(?=[ \t]+inet)", "127.0.0.1:2526", text, flags=re.M
    )
    return text.replace(MARK, WORDS[0])


class Site:
    """
    A site's configuration, changed so that it starts here.
    """

    def __init__(self, folder: Path, main_cf: str, master_cf: str) -> None:
        """
        @param folder: for everything that is named.
        """
        self._folder = folder
        self._maps = folder / "maps"
        self._maps.mkdir()
        self.main_cf = main_cf
        self.master_cf = master_cf

    def write(self, port: Callable[[], int], more: Mapping[str, str]) -> list[int]:
        """
        @param port: a free one.
        @param more: of main.cf, instead of the site's.
        @return: the ports of its SMTP servers.
        """
        lines = []
        for line in logical_lines(self.main_cf):
            name, equals, value = line.text.partition("=")
            if name.strip() in more or not equals:
                continue
            lines.append(f"{name.strip()} = {self._at_home(value.strip())}\n")
        lines += [f"{name} = {value}\n" for name, value in more.items()]
        (self._folder / "main.cf").write_text("".join(lines))
        ports: list[int] = []
        rows = []
        for service in parse_master_cf("master.cf", self.master_cf):
            name = service.name
            if service.type == "inet":
                name = f"127.0.0.1:{port()}"
                if service.program == "smtpd":
                    ports.append(int(name.rpartition(":")[2]))
            rows.append(self._row(service, name))
        (self._folder / "master.cf").write_text("".join(rows))
        return ports

    def _row(self, service: Service, name: str) -> str:
        columns = [name, service.type]
        for yes in (service.private, service.unprivileged, service.chroot):
            columns.append("y" if yes else "n")
        columns.append(str(int(service.wakeup)))
        columns.append("-" if service.maxproc is None else str(service.maxproc))
        columns.append(service.program)
        options = [
            f"-o {{ {option} = {self._at_home(value)} }}"
            for option, value in service.overrides.items()
        ]
        arguments = [f"{{ {each} }}" for each in service.arguments]
        return " ".join([*columns, *options, *arguments]) + "\n"

    def _at_home(self, value: str) -> str:
        """
        @return: with tables and files of ours, which are empty.
        """
        return (
            re.sub(r"(?<![\w/.])(?:proxy:)?([a-z]+):(/?[^\s,{}]+)", self._table, value)
            if not value.startswith("/")
            else self._file(value)
        )

    def _table(self, match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if kind in _SERVERS:
            return "inline:{nobody@example.com=nobody}"
        if kind not in _FILES or not name.startswith("/"):
            return match[0]
        path = self._maps / name.rpartition("/")[2]
        path.touch()
        kind = "texthash" if kind in ("cdb", "dbm", "lmdb") else kind
        return f"{kind}:{path}"

    def _file(self, value: str) -> str:
        path, _, rest = value.partition(" ")
        if rest or not re.fullmatch(r"/etc/\S+", path) or len(to_words(path)) != 1:
            return value
        home = self._maps / path.rpartition("/")[2]
        if not home.exists():
            home.write_text("home.example.com\n")
        return str(home)
