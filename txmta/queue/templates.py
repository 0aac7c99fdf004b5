"""
The words of notices, built in or from bounce_template_file.

Owns: the format of that file, and what C{$name} in it stands for.
Knows nothing of: who is told what, the machine-readable part of a notice.

Postfix reads the file when mail bounces; a file that it cannot use then keeps
all that mail in the queue. Here it is read at start. What is fatal there
refuses the start; what Postfix warns of is a warning, and the built-in
template is used.

Sources: Postfix's bounce(5); C{bounce/bounce_templates.c},
C{bounce/bounce_template.c}; tried with C{postconf -b}.

Errors: L{ConfigError<txmta.errors.ConfigError>} with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import idna

from txmta.config.expansion import expand
from txmta.config.settings import Settings
from txmta.errors import ConfigError

#: Octets of bounce_template_file; a larger one is refused.
MAX_FILE = 1 << 20

#: What C{$delay_warning_time_hours} and its kin are divided by.
_UNITS = {
    "seconds": 1,
    "minutes": 60,
    "hours": 3600,
    "days": 86400,
    "weeks": 7 * 86400,
}
_TIMES = ("delay_warning_time", "maximal_queue_lifetime")

#: A result with more digits asks for a larger unit (bounce_template.c).
_MAX_RESULT = 999

_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:[:\s]*(.*)", re.DOTALL)
_ASSIGNMENT = re.compile(r"\s*([^\s=]+)\s*=\s*(.*?)\s*", re.DOTALL)

_GREETING = "This is the mail system at host $myhostname.\n\n"

_HELP = """\
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.

"""

_SIGNATURE = "                   The mail system\n"

#: The built-in words are Postfix's, for people and programs know them.
_FAILURE = f"""\
{_GREETING}I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

{_HELP}{_SIGNATURE}"""

_DELAY = f"""\
{_GREETING}\
####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than $delay_warning_time_hours hour(s).
It will be retried until it is $maximal_queue_lifetime_days day(s) old.

{_HELP}{_SIGNATURE}"""

_SUCCESS = f"""\
{_GREETING}Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.

{_SIGNATURE}"""

_VERIFY = f"""\
{_GREETING}Enclosed is the mail delivery report that you requested.

{_SIGNATURE}"""


@dataclass(frozen=True, slots=True)
class Template:
    """
    One kind of notice.

    @ivar name: C{"failure"}, C{"delay"}, C{"success"} or C{"verify"}.
    @ivar text: lines, each with its end; C{$name} is expanded by L{expanded}.
    @ivar postmaster_subject: C{""} if the postmaster gets no copies.
    @ivar charset: of C{text}; octets that are not UTF-8 are surrogate escapes.
    @ivar origin: the file, for messages.
    """

    name: str
    subject: str
    text: str
    postmaster_subject: str = ""
    sender: str = "Mail Delivery System <MAILER-DAEMON>"
    charset: str = "us-ascii"
    origin: str = "[built-in]"

    @property
    def eight_bit(self) -> bool:
        """
        @return: the text is not ASCII.
        """
        return not self.text.isascii()


Templates = Mapping[str, Template]

BUILT_IN: Templates = {
    template.name: template
    for template in (
        Template(
            "failure",
            "Undelivered Mail Returned to Sender",
            _FAILURE,
            "Postmaster Copy: Undelivered Mail",
        ),
        Template(
            "delay",
            "Delayed Mail (still being retried)",
            _DELAY,
            "Postmaster Warning: Delayed Mail",
        ),
        Template("success", "Successful Mail Delivery Report", _SUCCESS),
        Template("verify", "Mail Delivery Status Report", _VERIFY),
    )
}


def load(settings: Settings, warn: Callable[[str], None]) -> Templates:
    """
    @param warn: told of each template that is not used, and why.

    @return: all four, by name, C{$name} expanded.
    @raise ConfigError: bounce_template_file cannot be used.
    """
    path = settings.bounce_template_file
    templates = BUILT_IN
    if path:
        try:
            with open(path, "rb") as file:
                octets = file.read(MAX_FILE + 1)
        except OSError as e:
            raise ConfigError(
                [f"bounce_template_file: open {path}: {e.strerror}"]
            ) from e
        if len(octets) > MAX_FILE:
            raise ConfigError([f"{path}: larger than {MAX_FILE} octets"])
        templates = parse(octets.decode("utf-8", "surrogateescape"), path, warn)
    expanding = _Expansion(settings, warn)
    return {name: expanding.expanded(each) for name, each in templates.items()}


def parse(text: str, origin: str, warn: Callable[[str], None]) -> Templates:
    """
    @param text: of a template file.
    @param origin: its name, for messages.

    @return: all four by name; built-in ones where the file has none of use.
    @raise ConfigError: it is no template file.
    """
    templates = dict(BUILT_IN)
    for line, name, value in _assignments(text, origin):
        known = templates.get(name.removesuffix("_template"))
        if known is None or not name.endswith("_template"):
            warn(
                f"{origin}, line {line}: unknown template name: {name} "
                "-- ignoring this template"
            )
            continue
        try:
            templates[known.name] = _template(BUILT_IN[known.name], value, origin)
        except ValueError as e:
            warn(f"{origin}: {e} -- ignoring this template")
            templates[known.name] = BUILT_IN[known.name]
    return templates


def _assignments(text: str, origin: str) -> Iterator[tuple[int, str, str]]:
    """
    @return: line number, name and value of each C{name = value} and
        C{name = <<END}.
    """
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise ConfigError(
                [f"{origin}, line {at}: missing '=' after attribute name: {line!r:.80}"]
            )
        start, (name, value) = at, match.groups()
        if value.startswith("<<"):
            marker = value[2:].strip()
            if not marker:
                raise ConfigError([f"{origin}, line {at}: missing end marker after <<"])
            try:
                end = lines.index(marker, at)
            except ValueError:
                raise ConfigError(
                    [f'{origin}, line {at}: missing "{marker}" end marker']
                ) from None
            value, at = "".join(f"{each}\n" for each in lines[at:end]), end + 1
        yield start, name, value


def _template(default: Template, value: str, origin: str) -> Template:
    """
    @raise ValueError: it cannot be used.
    """
    found = replace(default, origin=origin)
    lines = value.removesuffix("\n").split("\n")
    at = 0
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            break
        found = _with_header(found, *match.groups())
        at += 1
    while at < len(lines) and not lines[at].strip():
        at += 1
    text = "\n".join(lines[at:])
    if not text:
        raise ValueError(f"missing message text in {default.name} template")
    if not text.isascii() and found.charset.lower() == "us-ascii":
        raise ValueError(
            f"8-bit message text in {default.name} template: please specify a "
            "charset value other than us-ascii"
        )
    return replace(found, text=f"{text}\n")


def _with_header(template: Template, label: str, value: str) -> Template:
    what = f'"{label}" header {{}} in {template.name} template'
    if not value:
        raise ValueError(f"empty {what.format('value')}")
    if not value.isascii() or "\0" in value or "\r" in value:
        raise ValueError(f"non-ASCII {what.format('value')}")
    match label.lower():
        case "charset":
            return replace(template, charset=value)
        case "from":
            return replace(template, sender=value)
        case "subject":
            return replace(template, subject=value)
        case "postmaster-subject":
            if not template.postmaster_subject:
                raise ValueError(f"inapplicable {what.format('label')}")
            return replace(template, postmaster_subject=value)
        case _:
            raise ValueError(f"unknown {what.format('label')}")


class _Expansion:
    """
    What C{$name} stands for in a template.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None]) -> None:
        self._settings = settings
        self._warn = warn
        self._template = BUILT_IN["failure"]

    def expanded(self, template: Template) -> Template:
        """
        @raise ConfigError: there is no such name, or it is no macro.
        """
        self._template = template
        lines = []
        for line in template.text.removesuffix("\n").split("\n"):
            try:
                lines.append(expand(line, self._value) + "\n")
            except ValueError as e:
                raise ConfigError(
                    [f"{template.origin}: {template.name} template: {e}: {line!r:.80}"]
                ) from e
        return replace(template, text="".join(lines))

    def _value(self, name: str) -> str:
        settings = self._settings
        for parameter in _TIMES:
            if name.startswith(f"{parameter}_"):
                return self._time(name, parameter)
        if not settings.is_known(name):
            raise ValueError(f"undefined ${name}")
        value = settings.text(name)
        if name in ("myhostname", "mydomain") and settings.smtputf8_enable:
            return _for_people(value)
        return value

    def _time(self, name: str, parameter: str) -> str:
        unit = name[len(parameter) + 1 :]
        divisor = _UNITS.get(unit)
        if divisor is None:
            raise ValueError(f'unrecognized suffix "{unit}" in parameter "{name}"')
        seconds = int(getattr(self._settings, parameter))
        result = seconds // divisor
        trouble = ""
        if result > _MAX_RESULT and divisor < 86400:
            trouble = f'excessive result "{result}", please increase'
        elif not result and seconds:
            trouble = "zero result, please reduce"
        # The built-in delay template is of no account where nobody sees it.
        if trouble and self._shown():
            self._warn(
                f'{self._template.origin}: {trouble} time unit "{unit}" of '
                f'"{name}" in {self._template.name} template'
            )
        return str(result)

    def _shown(self) -> bool:
        return self._template.name != "delay" or self._settings.delay_warning_time > 0


def _for_people(domain: str) -> str:
    """
    @return: a domain with U-labels instead of A-labels.
    """
    if "xn--" not in domain.lower():
        return domain
    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain
