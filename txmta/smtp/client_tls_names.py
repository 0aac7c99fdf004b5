"""
Is a certificate the one of a host, by the names in it?

Owns: how names in a certificate compare with those that are looked for.
Knows nothing of: certificates, who vouches for them.

Sources: RFC 6125; X509_check_host(3), which Postfix uses with
X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS (C{tls/tls_client.c}).

Errors: none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_STARRED = re.compile(r"[A-Za-z0-9.-]+")
_LABELS = re.compile(
    r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+"
)


def matching(
    presented: Iterable[str], wanted: Sequence[str], multiple: bool = True
) -> str | None:
    """
    @param presented: names in the certificate.
    @param wanted: names, C{.domain} for all below it.
    @param multiple: tls_wildcard_matches_multiple_labels.
    @return: the first name of the certificate that is wanted.
    """
    names = [each.lower() for each in wanted if each.strip(".")]
    for name in presented:
        if any(_same(name.lower(), each, multiple) for each in names):
            return name
    return None


def _same(presented: str, wanted: str, multiple: bool) -> bool:
    if wanted.startswith("."):
        return len(presented) > len(wanted) and presented.endswith(wanted)
    if presented == wanted:
        return True
    if not presented.startswith("*."):
        return False
    rest = presented[1:]
    # A star for a whole top-level domain is nobody's.
    if not _LABELS.fullmatch(rest[1:]) or not wanted.endswith(rest):
        return False
    starred = wanted[: -len(rest)]
    if not starred or not _STARRED.fullmatch(starred):
        return False
    return multiple or "." not in starred
