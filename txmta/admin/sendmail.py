"""
C{sendmail}: hand in a message, also while the server is down.

Owns: what happens between the command line and a durable file in maildrop.
Knows nothing of: what becomes of the file (L{txmta.queue.pickup}).

Exit status 0 says that the message is on disk, and will be there after a power
cut. The file is written under a name that nobody can guess, in a directory that
only the mail system can list, synced, and made complete by its mode last. No
right is needed that the caller does not have: nothing is set-uid or set-gid.

Twisted is not imported: a message costs one start of Python.

Sources: Postfix sendmail(1), C{sendmail/sendmail.c}, C{postdrop/postdrop.c};
sysexits.h.

Errors: told in one line on standard error and by a status of sysexits.h, where
Postfix's command always exits with 75.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterable, Sequence

from txmta.admin import sendmail_options as options_of
from txmta.admin.header_recipients import HeaderRecipients, addresses
from txmta.admin.maildrop_file import NewFile
from txmta.admin.quick_settings import QuickSettings
from txmta.admin.sendmail_options import Options, Refused
from txmta.errors import ConfigError
from txmta.queue import maildrop

#: Where main.cf is, if neither C{-C} nor MAIL_CONFIG says so.
CONFIG_DIRECTORY = "/etc/txmta"

#: Octets that are read and written at a time.
_BLOCK = 1 << 16


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The C{sendmail} command.

    @return: the exit status.
    """
    argv = sys.argv if arguments is None else ["sendmail", *arguments]
    try:
        options = options_of.parse(_by_name(argv))
        for warning in options.warnings:
            _say(f"warning: {warning}")
        return _run(options)
    except Refused as e:
        _fatal(str(e))
        return e.status
    except ConfigError as e:
        _fatal("; ".join(e.problems))
        return options_of.EX_CONFIG
    except OSError as e:
        _fatal(f"{e.filename or 'queue file'}: {e.strerror}")
        return options_of.EX_TEMPFAIL
    except KeyboardInterrupt:
        return options_of.EX_TEMPFAIL


def _by_name(argv: Sequence[str]) -> Sequence[str]:
    """
    Other names of the command ask for other modes, as with Sendmail.
    """
    mode = {"mailq": ["-bp"], "newaliases": ["-bi"]}
    return [*mode.get(os.path.basename(argv[0]), ()), *argv[1:]]


def _run(options: Options) -> int:
    if options.mode == "nothing":
        return options_of.EX_OK
    if options.mode in ("mail", "verify"):
        return Submission(options).run()
    if options.mode in ("flush", "list"):
        return _queue_command(options)
    if options.mode == "aliases":
        from txmta.admin import newaliases

        return newaliases.make(os.path.dirname(_main_cf(options)) or ".")
    raise Refused(_REMEDIES[options.mode], options_of.EX_UNAVAILABLE)


_REMEDIES = {
    "daemon": "-bd is not supported: start the server with twistd txmta, or its unit",
    "smtp": "-bs is not supported: speak SMTP to port 25 of this machine, or hand in "
    "messages with -t",
}


def _queue_command(options: Options) -> int:
    """
    Leave it to postqueue, as Postfix's command does.
    """
    from txmta.admin import postqueue

    wanted = ["-p"]
    if options.mode == "flush":
        kind, rest = options.flush[:1], options.flush[1:]
        wanted = {"": ["-f"], "I": ["-i", rest], "R": ["-s", rest]}[kind]
    folder = os.path.dirname(_main_cf(options)) or "."
    return postqueue.main(["-c", folder, *wanted], "sendmail")


def _main_cf(options: Options) -> str:
    path = options.config or os.environ.get("MAIL_CONFIG") or CONFIG_DIRECTORY
    # Both a directory and the file in it are usual.
    return path if path.endswith("main.cf") else os.path.join(path, "main.cf")


class Submission:
    """
    One message on its way into maildrop.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._settings = QuickSettings(_main_cf(options))
        self._limit = self._settings.count("message_size_limit")
        self._headers = HeaderRecipients() if options.extract else None
        self._user = _Caller()
        if options.sender is None:
            self._sender = self._user.name
        else:
            self._sender = next(iter(addresses(options.sender)), "")
        self._size = 0

    def run(self) -> int:
        self._check_user()
        options = self._options
        given = [a for each in options.arguments for a in addresses(each) or [""]]
        if not given and not options.extract:
            raise Refused(
                "Recipient addresses must be specified on the command line or via "
                "the -t option"
            )
        given = [maildrop.clean(each) for each in given]
        folder = os.path.join(self._settings.text("queue_directory"), "maildrop")
        with NewFile(folder) as file:
            file.write(maildrop.first_line())
            file.write(maildrop.head([*self._fields(), *(("to", a) for a in given)]))
            if options.mode == "verify":
                self._probe(file.write)
            else:
                self._content(file.write)
            found = self._headers.all() if self._headers is not None else []
            if not given and not found:
                raise Refused(
                    "No recipient addresses found in message header",
                    options_of.EX_USAGE,
                )
            rest = maildrop.tail(found)
            if len(given) + len(found) > maildrop.MAX_RECIPIENTS:
                raise Refused("too many recipients", options_of.EX_UNAVAILABLE)
            file.write(rest)
            file.finish(maildrop.first_line(False, self._size, len(rest)))
        if "trace" in options.fields:
            print(f"Mail Delivery Status Report will be mailed to <{self._sender}>.")
        return options_of.EX_OK

    def _check_user(self) -> None:
        allowed = self._settings.text("authorized_submit_users")
        if allowed == "static:anyone":
            return
        # Rare: then the tables of the server are worth their import.
        from txmta.admin.allowed import may_submit

        if not may_submit(self._settings.path, self._user.name):
            name, uid = self._user.name, self._user.uid
            raise Refused(
                f"User {name}({uid}) is not allowed to submit mail",
                options_of.EX_NOPERM,
            )

    def _fields(self) -> Iterable[tuple[str, str]]:
        options = self._options
        yield "from", self._sender
        name = options.full_name
        if name is None:
            name = os.environ.get("NAME") or self._user.full_name
        if name := maildrop.clean(name).strip():
            yield "name", name
        yield from options.fields.items()
        if options.remote:
            yield "context", "remote"

    def _content(self, write: Callable[[bytes], object]) -> None:
        """
        Copy standard input: without C{From } lines at its start, without the
        CR of lines if the first one has it, up to a lonely dot unless C{-i}.
        """
        read = sys.stdin.buffer.readline
        dot_ends, headers = self._options.dot_ends, self._headers
        header = _HeaderSection(headers, self._header_limit()) if headers else None
        start = first = whole = True
        strip = False
        while line := read(_BLOCK):
            ends = line.endswith(b"\n")
            if first:
                strip, first = line.endswith(b"\r\n"), False
            if start:
                if ends and line.lstrip(b">").startswith(b"From "):
                    continue
                start = False
            if strip and line.endswith(b"\r\n"):
                line = line.rstrip(b"\r\n") + b"\n"
            if dot_ends and whole and line in (b".\n", b"."):
                break
            if header is not None and not header.line(line, whole):
                header = None
            whole = ends
            self._size += len(line)
            if self._limit and self._size > self._limit:
                raise Refused("message file too big", options_of.EX_UNAVAILABLE)
            write(line)
        if header is not None:
            header.close()

    def _probe(self, write: Callable[[bytes], object]) -> None:
        """
        Write a message that nobody gets: its headers are in the report.
        """
        arguments = ",\n\t".join(map(maildrop.clean, self._options.arguments))
        lines = [f"Subject: probe\nTo:\t{arguments}\n"]
        if self._sender:
            lines.insert(0, f"From: {maildrop.clean(self._sender)}\n")
        octets = "".join(lines).encode("utf-8", "surrogateescape")
        self._size = len(octets)
        write(octets)

    def _header_limit(self) -> int:
        return self._settings.count("header_size_limit")


class _HeaderSection:
    """
    Joins the lines of each header.
    """

    def __init__(self, found: HeaderRecipients, limit: int) -> None:
        self._found = found
        self._limit = limit
        self._header = b""

    def line(self, line: bytes, whole: bool) -> bool:
        """
        @param whole: it is not the rest of a line that is too long.
        @return: the section goes on.
        """
        if whole and line[:1] not in (b" ", b"\t"):
            if not self.close() or not line.rstrip(b"\n"):
                return False
            self._header = line
        elif self._header or not whole:
            self._header += line
        else:
            return False
        if len(self._header) > self._limit:
            raise Refused("message header length exceeds limit", options_of.EX_DATAERR)
        return True

    def close(self) -> bool:
        """
        @return: what was gathered is a header.
        """
        header, self._header = self._header, b""
        if not header:
            return True
        return self._found.header(header.decode("utf-8", "surrogateescape"))


class _Caller:
    """
    Who calls.
    """

    def __init__(self) -> None:
        self.uid = os.getuid()
        try:
            entry = pwd.getpwuid(self.uid)
        except KeyError as e:
            raise Refused(
                f"no login name found for user ID {self.uid}", options_of.EX_OSERR
            ) from e
        self.name = entry.pw_name
        # GECOS: the name ends at the first comma; & is the login name.
        gecos = entry.pw_gecos
        for end in ",;%":
            gecos = gecos.partition(end)[0]
        self.full_name = gecos.replace("&", self.name.capitalize())


def _say(text: str) -> None:
    print(f"sendmail: {text}", file=sys.stderr)


def _fatal(text: str) -> None:
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = "unknown"
    text = f"fatal: {name}({os.getuid()}): {text}"
    _say(text)
    _log(maildrop.clean(text))


def _log(text: str) -> None:
    import syslog

    syslog.openlog("postfix/sendmail", syslog.LOG_PID, syslog.LOG_MAIL)
    syslog.syslog(syslog.LOG_CRIT, text[:1000])


if __name__ == "__main__":
    sys.exit(main())
