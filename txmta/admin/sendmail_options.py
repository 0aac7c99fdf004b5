"""
The command line of C{sendmail}.

Owns: which options there are, what each asks for, what is refused and in which
    words.
Knows nothing of: messages, files, who calls.

Options end at the first argument that is none, as with Postfix: an address that
begins with a hyphen can be no option after C{--}.

Sources: Postfix sendmail(1), C{sendmail/sendmail.c}; C{global/dsn_mask.c}.

Errors: L{Refused}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# Exit statuses of sysexits.h.
EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER = 0, 64, 65, 67
EX_UNAVAILABLE, EX_SOFTWARE, EX_OSERR, EX_TEMPFAIL = 69, 70, 71, 75
EX_NOPERM, EX_CONFIG = 77, 78

#: Options that take a value, in this argument or in the next one.
_VALUED = frozenset("ABCFLNORVXbefhopqr")

#: Those that do not.
_FLAGS = frozenset("GIUcimntvx")

#: What C{-b} may be followed by, and the mode that it means.
_MODES = {
    "m": "mail",
    "p": "list",
    "i": "aliases",
    "d": "daemon",
    "l": "daemon",
    "s": "smtp",
    "v": "verify",
    "h": "nothing",  # host status of Sendmail; Postfix ignores it too
    "H": "nothing",
}

_NOTIFY = {"never": 1, "success": 2, "failure": 4, "delay": 8}


class Refused(Exception):
    """
    What was asked for is not done.

    @ivar status: to exit with.
    """

    def __init__(self, text: str, status: int = EX_USAGE) -> None:
        super().__init__(text)
        self.status = status


class Options:
    """
    @ivar mode: C{"mail"}, C{"list"}, C{"aliases"}, C{"daemon"}, C{"smtp"},
        C{"verify"}, C{"flush"}, C{"nothing"}.
    @ivar arguments: what follows the options.
    @ivar config: of C{-C}, or L{None}.
    @ivar sender: of C{-f} or C{-r}, or L{None}.
    @ivar full_name: of C{-F}, or L{None}.
    @ivar extract: C{-t}: recipients are in the message.
    @ivar dot_ends: a line with a dot alone ends the message.
    @ivar remote: C{-G}: from elsewhere; headers are not completed.
    @ivar fields: body, ret, envid, notify, trace, for L{txmta.queue.maildrop}.
    @ivar flush: what C{-q} is followed by: C{""}, C{"Iid"}, C{"Rsite"}.
    @ivar warnings: what was ignored, and is worth a line.
    """

    def __init__(self) -> None:
        self.mode = "mail"
        self.arguments: list[str] = []
        self.config: str | None = None
        self.sender: str | None = None
        self.full_name: str | None = None
        self.label = ""
        self.extract = False
        self.dot_ends = True
        self.remote = False
        self.fields: dict[str, str] = {}
        self.flush = ""
        self.warnings: list[str] = []

    def take(self, name: str, value: str) -> None:
        """
        One option.
        """
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, value)

    def set_mode(self, value: str) -> None:
        mode = _MODES.get(value[:1])
        if mode is None:
            raise Refused(f"unsupported: -b{value[:1]}")
        self.mode = mode

    def set_body(self, value: str) -> None:
        if value.upper() not in ("7BIT", "8BITMIME"):
            raise Refused("-B option needs 8BITMIME or 7BIT")
        self.fields["body"] = value.upper()

    def set_notify(self, value: str) -> None:
        mask = 0
        for word in value.replace(",", " ").split():
            bit = _NOTIFY.get(word.lower(), 0)
            if not bit:
                mask = 0
                break
            mask |= bit
        if not mask or (mask & 1 and mask != 1):
            self.warnings.append("bad -N option value -- ignored")
            return
        self.fields["notify"] = str(mask)

    def set_ret(self, value: str) -> None:
        if value.upper() not in ("FULL", "HDRS"):
            self.warnings.append("bad -R option value -- ignored")
            return
        self.fields["ret"] = value.upper()

    def set_envid(self, value: str) -> None:
        if len(value) > 100 or not (value.isascii() and value.isprintable()):
            self.warnings.append("bad -V option value -- ignored")
            return
        self.fields["envid"] = value

    def set_letter(self, value: str) -> None:
        """
        C{-oX}: of these only C{-oi} means anything, here as in Postfix.
        """
        if value[:1] == "i":
            self.dot_ends = False

    def set_long(self, value: str) -> None:
        """
        C{-O name=value}: options of Sendmail, which do not count here.
        """
        name, _, wanted = value.partition("=")
        if name.strip().lower() == "requiretls" and wanted.strip().lower() == "yes":
            raise Refused(
                "-O requiretls=yes is not supported: the message would go without "
                "it: remove it, or do not send"
            )

    def set_queue(self, value: str) -> None:
        kind, rest = value[:1], value[1:]
        if kind == "S":
            raise Refused("-qS is not implemented")
        if kind == "I" and not rest:
            raise Refused("specify: -qIqueueid")
        if kind == "R" and not rest:
            raise Refused("specify: -qRsitename")
        # -q10m is for a daemon, which looks by itself.
        self.mode = "flush" if kind in ("", "I", "R") else "nothing"
        self.flush = value

    def set_extension(self, value: str) -> None:
        if value[:1] == "V":
            raise Refused(
                "-XV (a sender address for each recipient) is not supported yet: "
                "remove it, and send to each recipient by itself with -f"
            )
        raise Refused(f"unsupported: -X{value[:1]}")

    def set_verbose(self, _value: str) -> None:
        # A report is mailed, even of what has gone well.
        self.fields["trace"] = "record"

    def refuse_no_aliases(self, _value: str) -> None:
        raise Refused("-n option not supported")


def _setter(attribute: str, value: object = None) -> Callable[[Options, str], None]:
    def set_it(options: Options, text: str) -> None:
        setattr(options, attribute, text if value is None else value)

    return set_it


_HANDLERS: Mapping[str, Callable[[Options, str], None]] = {
    "B": Options.set_body,
    "C": _setter("config"),
    "F": _setter("full_name"),
    "G": _setter("remote", True),
    "I": _setter("mode", "aliases"),
    "L": _setter("label"),
    "N": Options.set_notify,
    "O": Options.set_long,
    "R": Options.set_ret,
    "V": Options.set_envid,
    "X": Options.set_extension,
    "b": Options.set_mode,
    "f": _setter("sender"),
    "i": _setter("dot_ends", False),
    "n": Options.refuse_no_aliases,
    "o": Options.set_letter,
    "q": Options.set_queue,
    "r": _setter("sender"),
    "t": _setter("extract", True),
    "v": Options.set_verbose,
}


def parse(arguments: Sequence[str]) -> Options:
    """
    @param arguments: without the name of the program.
    @raise Refused: something in them is not possible.
    """
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        argument = rest.pop(0)
        if argument == "--":
            break
        _cluster(options, argument, rest)
    options.arguments = rest
    if options.mode != "mail" and rest and options.mode not in ("verify", "nothing"):
        raise Refused(f"{_NAMES[options.mode]} requires no recipient")
    if options.mode == "verify":
        for name, is_set in (
            ("v", "trace" in options.fields),
            ("t", options.extract),
            ("N", "notify" in options.fields),
        ):
            if is_set:
                raise Refused(f"-{name} option cannot be used with -bv")
        options.fields["trace"] = "verify"
    return options


_NAMES = {
    "list": "display queue mode",
    "aliases": "alias initialization mode",
    "daemon": "daemon mode",
    "smtp": "stand-alone SMTP mode",
    "flush": "flush queue mode",
}


def _cluster(options: Options, argument: str, rest: list[str]) -> None:
    """
    One argument, which may hold several options without a value.
    """
    at = 1
    while at < len(argument):
        name = argument[at]
        at += 1
        if name in _FLAGS:
            options.take(name, "")
            continue
        if name not in _VALUED:
            raise Refused(f"invalid option -- '{name}': see sendmail(1)")
        value = argument[at:]
        if not value and name == "V" and (not rest or rest[0].startswith("-")):
            name, value = "X", "V"  # what -V meant before Postfix 2.3
        elif not value and name != "q":
            if not rest:
                raise Refused(f"option requires an argument -- '{name}'")
            value = rest.pop(0)
        options.take(name, value)
        return
