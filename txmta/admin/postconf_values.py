"""
Values of parameters for C{postconf}, as written and expanded.

Owns: where a value comes from: C{-o} of a service, main.cf, the default.
Knows nothing of: how macros are written (L{txmta.config.expansion}).

Sources: Postfix's postconf(1).

Errors: L{Fatal<txmta.admin.common.Fatal>}.
"""

from __future__ import annotations

from collections.abc import Callable

from txmta.admin.common import Fatal
from txmta.admin.postconf_files import Files, Service
from txmta.admin.postconf_known import Known
from txmta.config.declare import SelfReference
from txmta.config.expansion import MacroError, expand

#: How deep parameters may refer to parameters. Ours.
MAX_NESTING = 100


class Values:
    def __init__(
        self,
        files: Files,
        known: Known,
        warn: Callable[[str], None],
        defaults_only: bool = False,
    ) -> None:
        """
        @param defaults_only: what the files say does not count.
        """
        self._files = files
        self._known = known
        self._warn = warn
        self._defaults_only = defaults_only
        # else $a$a of $b$b ... takes for ever
        self._expanded: dict[tuple[int, str], str] = {}
        # what is being expanded
        self._above: list[tuple[int, str]] = []

    def written(
        self, name: str, service: Service | None = None, explicit: bool = False
    ) -> str | None:
        """
        @param explicit: a default does not count.
        @return: not expanded; L{None} if there is none.
        """
        value = None if self._defaults_only else self._given(name, service)
        if value is None and not explicit:
            value = self._known.default(name, self._of_default)
        return value

    def _given(self, name: str, service: Service | None) -> str | None:
        if service is not None:
            value = service.fixed(name)
            if value is None:
                value = service.given.get(name)
            if value is not None:
                return value
        return self._files.main.get(name)

    def expanded(self, text: str, service: Service | None = None) -> str:
        """
        @raise Fatal: the text has wrong macros.
        """
        try:
            return self._expand(text, service)
        except (ValueError, RecursionError) as e:
            self._warn(e.what if isinstance(e, MacroError) else str(e))
            raise Fatal("macro processing error") from e

    def forget(self) -> None:
        """
        Something was changed.
        """
        self._expanded.clear()

    def _of_default(self, name: str) -> str:
        return self._text(name, None)

    def _text(self, name: str, service: Service | None) -> str:
        key = (0 if service is None else id(service), name)
        if key in self._expanded:
            return self._expanded[key]
        if key in self._above or len(self._above) > MAX_NESTING:
            raise SelfReference(f'unreasonable macro call nesting: "{name}"')
        self._above.append(key)
        try:
            value = self.written(name, service) or ""
            self._expanded[key] = self._expand(value, service)
        finally:
            self._above.pop()
        return self._expanded[key]

    def _expand(self, text: str, service: Service | None) -> str:
        return expand(
            text,
            lambda name: self._text(name, service),
            test=lambda name: self.written(name, service) or "",
        )
