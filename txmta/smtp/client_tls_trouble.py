"""
Why there was no TLS handshake, in Postfix's words.

Owns: reading what Twisted and OpenSSL say.
Knows nothing of: what is done about it.

Sources: Postfix C{tls/tls_client.c}, C{tls/tls_misc.c} (tls_print_errors).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.error import TimeoutError
from twisted.python.failure import Failure


def why(reason: Failure) -> tuple[str, Sequence[str]]:
    """
    @param reason: with which the connection ended.
    @return: the end of the line C{SSL_connect error to ...}, and what the library
        says.
    """
    error = reason.value
    if isinstance(error, TimeoutError):
        return "Connection timed out", ()
    found = error.args[0] if error is not None and error.args else ()
    if isinstance(found, list):
        return "-1", [
            f"error:{':'.join(str(part) for part in each)}"[:300] for each in found[:5]
        ]
    return "lost connection", ()
