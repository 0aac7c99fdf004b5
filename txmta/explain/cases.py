"""
Cases of a policy: who must get which answer, from a file.

Owns: the form of the file, its bounds, whether an answer is the one wanted.
Knows nothing of: who answers.

A file is a list, or a mapping with C{defaults} and C{cases}::

    defaults:
      helo: mail.example.org
    cases:
      - name: nobody relays
        client: 192.0.2.1
        sender: a@example.org
        recipient: b@example.net
        expect: 554

C{expect} is a code (C{554}), a class (C{5xx}), C{accept}, C{reject} or C{defer};
C{reply} are words that the reply must contain; C{transport} and C{nexthop} are those
of the first destination.

Errors: C{ValueError} with place and remedy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from txmta.explain.answer import Explanation
from txmta.explain.question import Question

#: Octets of a file, and cases in it.
MAX_FILE = 1 << 20
MAX_CASES = 10000

_EXPECTED = re.compile(r"[245](?:[0-9]{2}|xx)|accept|reject|defer")
_OWN = ("name", "expect", "reply", "transport", "nexthop")


class NoYaml(ValueError):
    """
    A file is in YAML, and there is nothing that reads it.
    """


@dataclass(frozen=True)
class Case:
    """
    @ivar expect: code, class or word; C{""}: any.
    @ivar reply: words in the reply.
    """

    name: str
    question: Question
    expect: str = ""
    reply: str = ""
    transport: str = ""
    nexthop: str = ""

    def failures(self, found: Explanation) -> list[str]:
        """
        @return: what is not as it must be, one line each.
        """
        wrong: list[str] = []
        if not _fits(self.expect, found.code):
            wrong.append(f"must be {self.expect}, is {found.reply}")
        elif self.reply and self.reply not in found.reply:
            wrong.append(f"must say {self.reply!r}, says {found.reply}")
        for what in ("transport", "nexthop"):
            wanted = getattr(self, what)
            if wanted:
                places = [getattr(each, what) for each in found.destinations]
                if wanted not in places:
                    is_now = ", ".join(places) or "none"
                    wrong.append(f"{what} must be {wanted}, is {is_now}")
        return wrong


def _fits(expected: str, code: int) -> bool:
    first = {"accept": "2", "reject": "5", "defer": "4"}.get(expected, expected)
    return str(code).startswith(first.removesuffix("xx"))


def read(octets: bytes, path: str) -> list[Case]:
    """
    @param path: its ending says if it is JSON.
    @raise ValueError: something is wrong with it.
    """
    if len(octets) > MAX_FILE:
        raise ValueError(f"{path}: larger than {MAX_FILE} octets")
    data = _parsed(octets, path)
    defaults: object = {}
    if isinstance(data, dict):
        defaults = data.get("defaults") or {}
        unknown = set(data) - {"defaults", "cases"}
        if unknown:
            raise ValueError(f"{path}: {min(map(str, unknown))}: unknown: write cases")
        data = data.get("cases")
    if not isinstance(defaults, dict) or not isinstance(data, list) or not data:
        raise ValueError(f"{path}: no cases: write a list of them")
    if len(data) > MAX_CASES:
        raise ValueError(f"{path}: more than {MAX_CASES} cases")
    cases: list[Case] = []
    for number, each in enumerate(data, 1):
        try:
            if not isinstance(each, dict):
                raise ValueError("is not a mapping")
            cases.append(_case({**defaults, **each}, number))
        except ValueError as e:
            raise ValueError(f"{path}: case {number}: {e}") from e
    return cases


def _parsed(octets: bytes, path: str) -> Any:
    if path.endswith(".json"):
        try:
            return json.loads(octets)
        except (ValueError, RecursionError) as e:
            raise ValueError(f"{path}: is not JSON: {e}") from e
    try:
        import yaml
    except ImportError:
        raise NoYaml(
            f"{path}: YAML needs PyYAML: install it (pip install PyYAML), or write "
            "the cases as JSON in a file that ends in .json"
        ) from None
    try:
        return yaml.safe_load(octets)
    except (yaml.YAMLError, RecursionError, UnicodeError) as e:
        raise ValueError(f"{path}: is not YAML: {' '.join(str(e).split())}") from e


def _case(values: Mapping[Any, Any], number: int) -> Case:
    own = {name: str(values.get(name) or "") for name in _OWN}
    expect = own["expect"].lower()
    if expect and not _EXPECTED.fullmatch(expect):
        raise ValueError(
            f"expect: {expect}: write a code, 5xx, accept, reject or defer"
        )
    if not any(own[name] for name in _OWN[1:]):
        raise ValueError("expect: nothing is expected: write a code or a word")
    question = {str(k): v for k, v in values.items() if k not in _OWN}
    asked = Question.of(question)
    name = own["name"] or f"<{asked.sender}> to <{asked.recipient}>"
    return Case(name, asked, expect, own["reply"], own["transport"], own["nexthop"])
