"""
C{cidr:}: results by network of the address that is looked up.

Owns: rules, C{if} and C{endif}, and how the first that matches is found among
    100,000.
Knows nothing of: files (L{txmta.maps.rule_source}), what results mean.

A block of rules is indexed by length of the prefix and by prefix. What matches
comes out of the index in the order of the rules: a result ends the search, an
C{if} is searched itself, and if it has no answer the next one is tried.

Sources: Postfix's cidr_table(5); C{util/cidr_match.c}, C{util/dict_cidr.c}.

Errors: none; a rule that cannot be used is skipped with Postfix's warning.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import cast

from zope.interface import implementer

from txmta.maps.context import TableContext
from txmta.maps.rule_source import MAX_NESTING, Skips, open_rules, rule_lines
from txmta.tables import ITable, ITableType

#: Longest text of an IP address, with brackets, and some room.
_MAX_KEY = 64

_V4, _V6 = 32, 128

#: Family (as bits of an address), and the address as a number.
_Address = tuple[int, int]


class _Block:
    """
    Rules between C{if} and C{endif}, or of the whole table.

    @ivar line: where its C{if} is.
    """

    def __init__(self, line: int = 0) -> None:
        self.line = line
        self._count = 0
        # By family, then length of the prefix: rules by prefix.
        self._index: dict[int, dict[int, dict[int, list[_Rule]]]] = {_V4: {}, _V6: {}}
        self._negated: list[tuple[_Network, _Rule]] = []

    def add(self, network: _Network, negated: bool, action: _Action) -> None:
        rule = self._count, action
        self._count += 1
        if negated:
            self._negated.append((network, rule))
            return
        family, length, prefix = network
        rules = self._index[family].setdefault(length, {}).setdefault(prefix, [])
        # What follows a result for the same network is never reached.
        if not rules or isinstance(rules[-1][1], _Block):
            rules.append(rule)

    def find(self, address: _Address) -> str | None:
        family, number = address
        found: list[_Rule] = []
        for length, by_prefix in self._index[family].items():
            rules = by_prefix.get(number >> (family - length))
            if rules is not None:
                found += rules
        if self._negated:
            found += self._others(address)
        if len(found) > 1:
            found.sort(key=_place)
        for _, action in found:
            value = action if isinstance(action, str) else action.find(address)
            if value is not None:
                return value
        return None

    def _others(self, address: _Address) -> Iterator[_Rule]:
        """
        @return: rules with C{!} for an address outside their network. They
            say nothing of the other family.
        """
        for (family, length, prefix), rule in self._negated:
            if family == address[0] and address[1] >> (family - length) != prefix:
                yield rule
                if isinstance(rule[1], str):
                    return


#: Family, length of the prefix, prefix as a number of that many bits.
_Network = tuple[int, int, int]
_Action = str | _Block
_Rule = tuple[int, _Action]


def _place(rule: _Rule) -> int:
    return rule[0]


@implementer(ITable)
class CidrTable:
    """
    @ivar by_pattern: parts of a key, such as parent domains, are not asked for.
    """

    by_pattern = True

    def __init__(self, block: Callable[[], _Block]) -> None:
        """
        @param block: gives the rules as they are now.
        """
        self._block = block

    def lookup(self, key: str) -> str | None:
        block = self._block()
        try:
            return block.find(_address(key))
        except ValueError:
            return None


@implementer(ITableType)
class CidrType:
    prefix = "cidr"
    self_contained = True

    def open(self, name: str, context: object) -> CidrTable:
        context = cast(TableContext, context)

        def parse(text: str, skips: Skips) -> _Block:
            return read_cidr(text, name, skips, context.value)

        return CidrTable(open_rules(self.prefix, name, context, parse))


def read_cidr(
    text: str, path: str, skips: Skips, convert: Callable[[str], str] = str
) -> _Block:
    """
    @param convert: makes of a result what the table answers.
    @return: the rules of a file.
    """
    blocks = [_Block()]
    for number, line in rule_lines(text, path, skips):
        try:
            _read_rule(line, number, blocks, convert)
        except ValueError as e:
            skips.skip(f"cidr map {path}, line {number}: {e}: skipping this rule")
    for block in reversed(blocks[1:]):
        skips.warn(f"cidr map {path}, line {block.line}: IF has no matching ENDIF")
    return blocks[0]


def _read_rule(
    line: str, number: int, blocks: list[_Block], convert: Callable[[str], str]
) -> None:
    """
    @param blocks: open ones, outermost first.
    """
    word = line[:5].lower()
    if word == "endif" and not line[5:6].isalnum():
        if line[5:].strip():
            raise ValueError("garbage after ENDIF")
        if len(blocks) == 1:
            raise ValueError("ENDIF without IF")
        blocks.pop()
    elif word[:2] == "if" and not line[2:3].isalnum():
        negated, pattern = _signed(line[2:].lstrip())
        network = _network(pattern)
        if len(blocks) > MAX_NESTING:
            raise ValueError("too many IFs inside each other")
        block = _Block(number)
        blocks[-1].add(network, negated, block)
        blocks.append(block)
    else:
        negated, rest = _signed(line)
        pattern, *result = rest.split(None, 1)
        network = _network(pattern)
        if not result:
            raise ValueError("no lookup result")
        blocks[-1].add(network, negated, convert(result[0]))


def _signed(text: str) -> tuple[bool, str]:
    """
    @return: whether there is an odd number of C{!}, and what follows.
    """
    negated = False
    while text.startswith("!"):
        negated = not negated
        text = text[1:].lstrip()
    if not text:
        raise ValueError("no address pattern")
    return negated, text


def _network(pattern: str) -> _Network:
    if pattern[0] == "[":
        net, bracket, rest = pattern[1:].partition("]")
        if not bracket:
            raise ValueError(f"missing ']' character after \"{pattern}\"")
        if rest and rest[0] != "/":
            raise ValueError(f'garbage after "[{net}]"')
        slash, mask = rest[:1], rest[1:]
        if not slash:
            net, slash, mask = net.partition("/")
    else:
        net, slash, mask = pattern.partition("/")
    if not slash:
        try:
            family, number = _address(net)
        except ValueError:
            raise ValueError(f'bad address pattern: "{net}"') from None
        return family, family, number
    if not (mask.isascii() and mask.isdigit()):
        raise ValueError(f'bad mask value in "{net}/{mask}"')
    length = int(mask.lstrip("0")[:9] or 0)
    if length > (_V6 if ":" in net else _V4):
        raise ValueError(f'bad mask length in "{net}/{mask}"')
    try:
        family, number = _address(net)
    except ValueError:
        raise ValueError(f'bad network value in "{net}/{mask}"') from None
    spare = family - length
    prefix = number >> spare
    if prefix << spare != number:
        raise ValueError(
            f'non-null host address bits in "{net}/{mask}", perhaps you should '
            f'use "{_written(family, prefix << spare)}/{length}" instead'
        )
    return family, length, prefix


def _address(text: str) -> _Address:
    """
    @raise ValueError: it is none.
    """
    try:
        if len(text) <= _MAX_KEY:
            if ":" in text:
                packed = socket.inet_pton(socket.AF_INET6, text)
                return _V6, int.from_bytes(packed, "big")
            packed = socket.inet_pton(socket.AF_INET, text)
            return _V4, int.from_bytes(packed, "big")
    except (OSError, UnicodeError):
        pass
    raise ValueError("not an address")


def _written(family: int, number: int) -> str:
    version = socket.AF_INET if family == _V4 else socket.AF_INET6
    return socket.inet_ntop(version, number.to_bytes(family // 8, "big"))
