"""
A question to the policy of a server: who sends from where to whom.

Owns: what can be said, and its bounds.
Knows nothing of: where it is written (L{txmta.explain.cases}), who answers.

Errors: C{ValueError} with what is wrong.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from txmta.address import valid_domain

#: Characters that one thing said may have.
MAX_TEXT = 1000

_NAMED = re.compile(r"([^\[\]\s]+)\[([^\[\]\s]+)\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Question:
    """
    @ivar client: IP address, C{name[address]}, or C{""} for one of nowhere.
    @ivar helo: what the client calls itself.
    @ivar login: who logged in, or C{""}.
    @ivar sender: envelope sender; C{""} is the null sender.
    @ivar recipient: envelope recipient.
    @ivar tls: the session is encrypted.
    @ivar service: of master.cf; C{""}: the first SMTP server there.
    @ivar size: octets of the message.
    """

    client: str = "192.0.2.1"
    helo: str = "client.example"
    login: str = ""
    sender: str = ""
    recipient: str = ""
    tls: bool = False
    service: str = ""
    size: int = 1000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, str):
                if len(value) > MAX_TEXT:
                    raise ValueError(f"{each.name}: longer than {MAX_TEXT} characters")
                if _CONTROL.search(value):
                    raise ValueError(f"{each.name}: has control characters")
        if not self.recipient:
            raise ValueError("recipient: nobody is named: write an address")
        self.peer()

    def peer(self) -> tuple[str, str]:
        """
        @return: address, and name or C{""} if DNS is to say.
        """
        match = _NAMED.fullmatch(self.client)
        name, address = (match[1], match[2]) if match else ("", self.client)
        try:
            address = str(ipaddress.ip_address(address.removeprefix("IPv6:")))
        except ValueError:
            raise ValueError(
                f"client: {self.client}: write an IP address, or name[address]"
            ) from None
        if name and name != "unknown" and not valid_domain(name):
            raise ValueError(f"client: {name}: is not a host name")
        return address, name

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Question:
        """
        @param values: by name; others are unknown.
        """
        kinds = {each.name: each.type for each in fields(cls)}
        given: dict[str, object] = {}
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                raise ValueError(
                    f"{name}: unknown: write one of {', '.join(sorted(kinds))}"
                )
            if kind == "bool" and not isinstance(value, bool):
                raise ValueError(f"{name}: {value}: write true or false")
            if kind == "int" and (
                isinstance(value, bool) or not isinstance(value, int)
            ):
                raise ValueError(f"{name}: {value}: write a number")
            if kind == "str":
                value = "" if value is None else str(value)
            given[name] = value
        return cls(**given)  # type: ignore[arg-type]  # checked above
