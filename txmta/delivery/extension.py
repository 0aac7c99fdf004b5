"""
Split C{user+extension}.

Sources: Postfix C{global/split_addr.c}; recipient_delimiter and
owner_request_special in postconf(5).
"""

from __future__ import annotations

#: Never split: mail to these must work whatever the delimiter is.
_RESERVED = frozenset(("mailer-daemon", "postmaster", "double-bounce"))


def split_extension(
    local: str, delimiters: str, owner_request_special: bool = True
) -> tuple[str, str | None, str]:
    """
    @param delimiters: recipient_delimiter; any of its characters splits.
    @return: user, extension (L{None} if there is none, C{""} for C{user+}),
        and the delimiter that was used.
    """
    lower = local.lower()
    if not delimiters or lower in _RESERVED:
        return local, None, ""
    special = lower.startswith("owner-") or lower.endswith("-request")
    if owner_request_special and "-" in delimiters and special:
        return local, None, ""
    for at, character in enumerate(local):
        if character in delimiters:
            if at == 0:
                break
            return local[:at], local[at + 1 :], character
    return local, None, ""
