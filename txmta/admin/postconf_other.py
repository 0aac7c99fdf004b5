"""
What C{postconf} shows that is in no file: C{-a}, C{-A}, C{-b}, C{-l}, C{-m},
C{-t}, C{-T}.

Owns: where each comes from.
Knows nothing of: main.cf's parameters.

Sources: Postfix's postconf(1), bounce(5). Debian's C{postconf} is the oracle of the
    tests.

Errors: L{ConfigError<txmta.errors.ConfigError>},
    L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from txmta.admin.common import Fatal, write
from txmta.admin.postconf_files import Files, read
from txmta.config.parameters.smtpd_sasl import TYPES

Warn = Callable[[str], None]


def show_other(
    what: str, tls: str, files: Files, rest: Sequence[str], warn: Warn
) -> None:
    """
    @param what: letter of the option.
    @param tls: the value of C{-T}.
    @param rest: arguments.
    """
    if what in "bt" and len(rest) > 1:
        raise Fatal("options -b and -t require at most one template file")
    for line in _lines(what, tls, files, rest, warn):
        write(f"{line}\n")


def _lines(
    what: str, tls: str, files: Files, rest: Sequence[str], warn: Warn
) -> Iterator[str]:
    match what:
        case "b" | "t":
            return _templates(files, rest, warn, expanded=what == "b")
        case "m":
            return _table_types()
        case "l":
            return iter(("flock", "fcntl", "dotlock"))
        case "a":
            return iter(TYPES)
        case "T":
            return _tls(tls)
        case _:
            raise Fatal(f"-{what}: there is no SASL yet")


def _templates(
    files: Files, rest: Sequence[str], warn: Warn, expanded: bool
) -> Iterator[str]:
    """
    @param rest: a template file; C{""}: built-in ones.
    """
    from txmta.config.main_cf import read_main_cf
    from txmta.config.settings import Definition, Settings
    from txmta.config.system import this_machine
    from txmta.queue.templates import BUILT_IN, load, parse

    definitions = dict(read_main_cf(files.main_path).definitions)
    folder = os.path.abspath(files.folder)
    definitions["config_directory"] = Definition(folder, files.main_path)
    if rest:
        definitions["bounce_template_file"] = Definition(rest[0], "command line")
    settings = Settings(definitions, this_machine())
    if expanded:
        for number, template in enumerate(load(settings, warn).values()):
            if number:
                yield ""
            yield f"expanded_{template.name}_text = <<EOF\n{template.text}EOF"
        return
    path = settings.bounce_template_file
    templates = parse(read(path), path, warn) if path else BUILT_IN
    for number, template in enumerate(templates.values()):
        if number:
            yield ""
        headers = [f"Charset: {template.charset}", f"From: {template.sender}"]
        headers.append(f"Subject: {template.subject}")
        if template.postmaster_subject:
            headers.append(f"Postmaster-Subject: {template.postmaster_subject}")
        head = "\n".join(headers)
        yield f"{template.name}_template = <<EOF\n{head}\n\n{template.text}EOF"


def _table_types() -> Iterator[str]:
    from txmta.interfaces import ITableType
    from txmta.maps.refused import RefusedType
    from txmta.plugins import find

    for table in find(ITableType).plugins:
        if not isinstance(table, RefusedType):
            yield table.prefix


def _tls(what: str) -> Iterator[str]:
    if what in ("compile-version", "run-version"):
        # They are the same: it comes with the library that uses it.
        from OpenSSL import SSL

        yield SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace")
    elif what == "public-key-algorithms":
        yield from ("ecdsa", "rsa")
    else:
        raise Fatal(f"unknown 'postconf -T' mode: {what}")
