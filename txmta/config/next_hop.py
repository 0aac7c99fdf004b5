"""
The form of a next hop of smtp(8): C{host}, C{host:port}, C{[host]:port}.

Sources: Postfix's postconf(5), relayhost; C{util/host_port.c}.
"""

from __future__ import annotations

import ipaddress
import re

_FORM = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(?::([^\[\]:]*))?")
_HOST = re.compile(r"[\w.-]+")
_SERVICE = re.compile(r"[A-Za-z][\w-]*")


def wrong_next_hop(text: str) -> str:
    """
    @param text: one or more, with commas or white space between.
    @return: what is wrong and what to write, or C{""}.
    """
    for word in re.split(r"[,\s]+", text.strip()):
        if word and (trouble := _wrong(word)):
            return trouble
    return ""


def _wrong(word: str) -> str:
    if _is_address(word, 6):
        return f"{word}: write IPv6 in brackets: [{word}]"
    match = _FORM.fullmatch(word)
    host = match[1].strip("[]") if match else ""
    bracketed = match is not None and match[1].startswith("[")
    bare = re.sub("^ipv6:", "", host, flags=re.IGNORECASE)
    if not (_HOST.fullmatch(host) or (bracketed and _is_address(bare, 6))):
        return (
            f"{word} is no next hop: write host, host:port, [host]:port or "
            "[address]:port"
        )
    port = match[2] if match else None
    if not port or _SERVICE.fullmatch(port):
        return ""
    if re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536:
        return ""
    return f"{word}: {port} is no port: write 1 to 65535"


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
