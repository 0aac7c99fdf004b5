"""
Where txmta deals with a bad server otherwise than Postfix 3.7, and why.
"""

from __future__ import annotations

from collections.abc import Mapping

_LIMITS = "there are limits on what a server may say; Postfix reads on for ever"
_PATIENCE = "a time limit is for a whole reply; Postfix's is for each piece of it"
_NO_REFUSAL = "what is no refusal is no reason to return mail: 4.5.0, not 5.5.0"
_OUT_OF_STEP = (
    "a server out of step with the commands may answer for somebody else: the"
    " connection is given up, and nobody is taken for delivered or refused"
)
_UNSENT = "a message that was not sent is not delivered, whatever the server says"
_STALE = (
    "a kept connection that is dead before MAIL is answered says nothing about"
    " the mail: another one is made at once"
)

#: Names of cases.
DIFFERENCES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "greeting: never ends",
            "greeting: never ends, no reply",
            "greeting: one endless line",
            "greeting: empty lines",
            "greeting: only NUL",
            "EHLO: never ends",
            "RCPT: never ends",
            "RCPT: never ends, no line",
            "LMTP: dot never ends",
        ),
        _LIMITS,
    ),
    "greeting: octet by octet, too slowly": _PATIENCE,
    **dict.fromkeys(
        (
            "greeting: 354",
            "greeting: 120",
            "greeting: 000",
            "greeting: 999",
            "greeting: twice",
            "EHLO: 999",
            "MAIL: 354",
            "MAIL: 999",
            "RCPT: 354",
            "RCPT: one reply missing",
            "RCPT: one reply too many",
            "DATA: 250",
            "DATA: 250, one by one",
            "dot: 354",
            "dot: 150",
            "dot: 699",
            "LMTP: dot 354",
        ),
        _NO_REFUSAL,
    ),
    **dict.fromkeys(
        (
            "greeting: everything at once",
            "EHLO: twice",
            "MAIL: no reply",
            "RCPT: no reply",
            "LMTP: dot no reply",
        ),
        _OUT_OF_STEP,
    ),
    "content: 250 in the middle": _UNSENT,
    "content: hangs up in the middle": "words: without a dot, no copy can be taken",
    **dict.fromkeys(
        (
            "again: hangs up at MAIL",
            "again: resets at MAIL",
            "again: 421 at MAIL",
            "again: none at MAIL",
        ),
        _STALE,
    ),
    "RCPT: UTF-8": "words: no line separator or change of direction in the log",
    "RCPT: control octets": "words: a NUL is one more octet that cannot be printed",
}
