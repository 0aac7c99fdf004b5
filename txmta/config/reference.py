"""
The reference page of all parameters, from their declarations.

C{python -m txmta.config.reference > docs/parameters.md}

Owns: the form of the page.
Knows nothing of: any parameter.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from txmta.config.declare import Parameter, Status
from txmta.config.later import Later
from txmta.config.parameters.every import GROUPS
from txmta.config.postfix import DANGEROUS
from txmta.config.settings import FAMILIES, Settings

_INTRODUCTION = """\
# Parameters of main.cf

Made by `python -m txmta.config.reference` from the declarations in
`txmta/config/parameters/`; do not edit.

Names, values and defaults are those of Postfix. The status of each says what
txmta does with it:

| status | meaning |
| --- | --- |
| honoured | as in Postfix |
| approximated | honoured, with the difference that the note says |
| no-effect | accepted; nothing here depends on it, the note says why |
| not-yet | not there yet. Set to another value than its default, it is ignored \
with a warning, or refuses the start if ignoring it could admit, expose, lose or \
misroute mail; where the latter, "stops the start" stands beside the status |
| refused | refuses the start when set to another value than its default |
| obsolete | ignored |

A name that is neither a parameter nor used by another value is a warning with the
nearest known name.
"""

_FAMILIES = """\
## Parameters of each transport

Every transport in master.cf has these, as `<transport>_<suffix>`; without one, the
default counts.

| suffix | default |
| --- | --- |
"""


def page() -> str:
    """
    @return: the page, in Markdown.
    """
    return "\n".join([*_page()])


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    for group in _groups():
        own = [p for p in vars(group).values() if isinstance(p, Parameter)]
        if own:
            yield f"## {_title(group)}\n"
            for parameter in sorted(own, key=lambda p: p.name):
                yield from _entry(parameter)
    yield _FAMILIES + "\n".join(
        f"| `{suffix}` | `${default}` |" for suffix, default in sorted(FAMILIES.items())
    )
    yield ""


def _groups() -> Iterator[type]:
    """
    @return: the classes that declare, in the order of the settings.
    """
    seen: set[type] = set()
    for base in Settings.__bases__:
        for group in reversed(base.__mro__):
            if group not in seen:
                seen.add(group)
                yield group
    yield from GROUPS


def _title(group: type) -> str:
    """
    @return: the first sentence of the module, and what tells its groups apart.
    """
    module = sys.modules[group.__module__]
    first = (inspect.getdoc(module) or "").split("\n")[0].rstrip(".")
    several = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and any(isinstance(p, Parameter) for p in vars(value).values())
    ]
    if len(several) == 1:
        return first
    words = group.__name__.removesuffix("Parameters")
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in words).strip()
    return f"{first.partition(':')[0]}: {spaced}"


def _entry(parameter: Parameter[Any]) -> Iterator[str]:
    yield f"### {parameter.name}\n"
    status = parameter.status.value
    if parameter.name in DANGEROUS or (
        isinstance(parameter, Later) and parameter.effect.stops
    ):
        status += ", stops the start" if parameter.status is Status.NOT_YET else ""
    yield f"{parameter.kind}, {status}; default: {_default(parameter)}\n"
    yield f"{parameter.doc}\n"
    if parameter.note:
        label = "Difference" if parameter.status is Status.APPROXIMATED else "Note"
        yield f"{label}: {parameter.note}\n"


def _default(parameter: Parameter[Any]) -> str:
    if not isinstance(parameter.default, str):
        return "computed from the machine"
    return f"`{parameter.default}`" if parameter.default else "empty"


if __name__ == "__main__":
    sys.stdout.write(page())
