"""
How many commands a session had, as the line of a disconnect shows them.

Owns: the order.
Knows nothing of: sessions.

Sources: Postfix C{smtpd/smtpd.c} (smtpd_cmd_table, smtpd_proto).

Errors: none.
"""

from __future__ import annotations

from collections.abc import Mapping

#: The order of Postfix's table of commands, for the line of a disconnect.
ORDER = {
    verb: n
    for n, verb in enumerate(
        (
            *("helo", "ehlo", "xclient", "xforward", "starttls", "auth"),
            *("mail", "rcpt", "data", "bdat", "rset", "noop", "vrfy"),
            *("etrn", "quit", "help", "unknown"),
        )
    )
}


def shares(counts: Mapping[str, list[int]]) -> dict[str, tuple[int, int]]:
    """
    @param counts: verb in lower case to [accepted, all].
    @return: the same in Postfix's order.
    """
    verbs = sorted(counts, key=ORDER.__getitem__)
    return {verb: (counts[verb][0], counts[verb][1]) for verb in verbs}
