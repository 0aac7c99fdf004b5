"""
An OpenLDAP server of the tests' own.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from unittest import TestCase
from urllib.parse import quote

from tests.interop.database_servers import Server, program

BASE = "dc=test"

#: Who may read everything.
READER, PASSWORD = f"cn=reader,{BASE}", "it's"

_SCHEMA = """\
attributetype ( 1.1.2.1.1 NAME 'mailacceptinggeneralid'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.2 NAME 'maildrop'
  EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.2.1.3 NAME 'memberurl'
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
attributetype ( 1.1.2.1.4 NAME 'delegate'
  EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.1.2.2.1 NAME 'mailThing' SUP top AUXILIARY
  MAY ( mailacceptinggeneralid $ maildrop $ memberurl $ delegate $ member $ mail ) )
"""


def missing() -> str:
    try:
        import ldap3  # noqa: F401
    except ImportError:
        return "not installed: ldap3"
    return ""


class OpenLdap(Server):
    """
    @ivar url: of its socket.
    @ivar urls: all that it listens at.
    """

    def __init__(self, test: TestCase, *lines: str, urls: Sequence[str] = ()) -> None:
        """
        @param lines: more for its configuration.
        @param urls: more of them.
        """
        self._slapd = program("slapd", "/usr/sbin")
        self._slapadd = program("slapadd", "/usr/sbin")
        super().__init__(test)
        self.folder.chmod(0o755)
        self.socket = self.folder / "s"
        self.url = f"ldapi://{quote(str(self.socket), '')}"
        self.urls = (self.url, *urls)
        (self.folder / "data").mkdir()
        self._own(self.folder / "data")
        self.config = self.folder / "slapd.conf"
        modules = glob.glob("/usr/lib/ldap/back_mdb.la")
        modules += glob.glob("/usr/lib/*/ldap/back_mdb.la")
        include = (f"include /etc/ldap/schema/{n}.schema" for n in ("core", "cosine"))
        self.config.write_text(
            "\n".join(include)
            + "\ninclude /etc/ldap/schema/inetorgperson.schema\n"
            + _SCHEMA
            + f"modulepath {os.path.dirname(modules[0])}\nmoduleload back_mdb\n"
            + "".join(f"{line}\n" for line in lines)
            + f"database mdb\nsuffix {BASE}\ndirectory {self.folder}/data\n"
            + f'rootdn "{READER}"\nrootpw "{PASSWORD}"\nmaxsize 16777216\n'
            + "dbnosync\n"
        )
        self.fill({"": {"objectClass": ["dcObject", "organization"], "o": ["x"]}})

    def fill(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """
        While it does not run.

        @param entries: by their names, without that of all.
        """
        lines = []
        for name, attributes in entries.items():
            lines.append(f"dn: {name},{BASE}" if name else f"dn: {BASE}")
            for attribute, values in attributes.items():
                lines += [
                    f"{attribute}:: {_base64(value)}"
                    if not value.isascii() or value[:1] in " :<" or value[-1:] == " "
                    else f"{attribute}: {value}"
                    for value in values
                ]
            lines.append("")
        path = self.folder / "entries.ldif"
        path.write_text("\n".join(lines) + "\n")
        self.run(
            self._slapadd, "-q", "-f", str(self.config), "-b", BASE, "-l", str(path)
        )

    def begin(self) -> None:
        self.socket.unlink(missing_ok=True)
        command = (
            *(self._slapd, "-d", "0", "-f", str(self.config)),
            *("-h", " ".join(self.urls)),
        )
        self.start(command, self.socket)


def _base64(value: str) -> str:
    import base64

    return base64.b64encode(value.encode()).decode()
