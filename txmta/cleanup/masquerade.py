"""
masquerade_domains: hosts inside are not shown outside.

Owns: which part of a domain is cut off.
Knows nothing of: which addresses it is for.

Sources: Postfix C{cleanup/cleanup_masquerade.c}; ADDRESS_REWRITING_README.

Errors: L{NotMapped<txmta.cleanup.questions.NotMapped>}.
"""

from __future__ import annotations

from collections.abc import Sequence

from txmta.cleanup.questions import Asking, Question

_EXCEPTIONS = "masquerade_exceptions"


def masqueraded(
    address: str, domains: Sequence[str], exceptions: bool = False
) -> Asking[str]:
    """
    @param domains: masquerade_domains, folded.
    @param exceptions: masquerade_exceptions is set.
    """
    name, at, domain = address.rpartition("@")
    if not at:
        return address
    if exceptions and (yield Question(_EXCEPTIONS, name)) is not None:
        return address
    parent = _parent(domain.casefold(), domains)
    return f"{name}@{parent}" if parent else address


def _parent(domain: str, domains: Sequence[str]) -> str:
    """
    @return: what the domain becomes; C{""} if it stays. The first entry that
        is the domain, or a parent of it, decides.
    """
    for entry in domains:
        parent = entry.lstrip("!")
        if not parent:
            continue
        if domain == parent:
            return ""
        if domain.endswith(f".{parent}"):
            stays = (len(entry) - len(parent)) % 2
            return "" if stays else parent
    return ""
