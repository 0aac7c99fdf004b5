"""
The address patterns of mynetworks and its kin, as far as they can be wrong.

Sources: Postfix's postconf(5), mynetworks; C{util/cidr_match.c}.
"""

from __future__ import annotations

import ipaddress
import re


def wrong(word: str) -> str:
    """
    @param word: one item of a list of networks.
    @return: what is wrong and what to write, or C{""}.
    """
    word = word.lstrip("!")
    if not word:
        return 'no pattern after "!": write one'
    if word[0] == "[" and "]" not in word:
        return f"{word} has no ']': write [2001:db8::]/32"
    if (
        re.fullmatch(r"[0-9a-fA-F]*:[0-9a-fA-F:.]*(/\d+)?", word)
        and word.count(":") > 1
    ):
        address, slash, length = word.partition("/")
        return f"{word}: write IPv6 in brackets: [{address}]{slash}{length}"
    if not re.fullmatch(r"(\[[^\]]*\]|\d[\d.]*)(/\d+)?", word):
        return ""  # a name, a file or a table
    text = re.sub(r"[\[\]]", "", word)
    try:
        ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return ""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"{word} is no network: write it as 192.0.2.0/24 or [2001:db8::]/32"
    base = f"{network.network_address}"
    right = f"[{base}]" if network.version == 6 else base
    return f"{word} has host bits: write {right}/{network.prefixlen}"


def is_everybody(word: str) -> bool:
    """
    @return: does this trust the whole Internet?
    """
    return re.fullmatch(r"(0(\.0){0,3}|\[::(0(\.0){3})?\])/0+", word) is not None
