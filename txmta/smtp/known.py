"""
What a session knows of a message's origin, for its first log line and the queue.

Owns: which facts these are, and their words.
Knows nothing of: where they come from.

Sources: Postfix C{smtpd/smtpd.c} (mail_open_stream).

Errors: none.
"""

from __future__ import annotations

from txmta.smtp.session import Session

_CLIENT = ("NAME", "ADDR", "PORT", "HELO", "PROTO")


def forwarded(session: Session) -> tuple[tuple[str, str], ...]:
    """
    @return: what XFORWARD said that the queue keeps.
    """
    said = session.forwarded
    if not said:
        return ()
    return tuple((name, said[name]) for name in (*_CLIENT, "IDENT") if name in said)


def known(session: Session) -> str:
    """
    @return: what follows C{client=name[address]} in the log, or C{""}.
    """
    login, said = session.login, session.forwarded
    if login is None and not said:
        return ""
    more = ""
    if login is not None:
        more += f", sasl_method={login.method}, sasl_username={login.username}"
        if login.sender:
            more += f", sasl_sender={login.sender}"
    if said.get("IDENT"):
        more += f", orig_queue_id={said['IDENT']}"
    if any(name in said for name in _CLIENT):
        name = said.get("NAME") or "unknown"
        address = said.get("ADDR")
        more += (
            f", orig_client={name}[{address}]" if address else f", orig_client={name}"
        )
    return more
