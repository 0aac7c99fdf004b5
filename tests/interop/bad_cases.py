"""
What servers do wrong, and what becomes of the mail.

Each case: the fate of the recipients (one for all, or one for each of three),
and the script of the server; see L{tests.interop.bad_server}.
"""

# Over budget: a table.

from __future__ import annotations

from collections.abc import Mapping

from tests.interop.bad_server import (
    EHLO,
    FRIENDLY,
    Script,
    flood,
    hang_up,
    interrupts,
    last,
    nothing,
    reset,
    reset_later,
    silent,
    slowly,
    stalled,
    then_silent,
    unhurried,
)

OK = b"250 2.1.5 ok\r\n"
PLAIN: Script = {"EHLO": b"250 bad\r\n"}

#: Before a transaction.
GREETINGS: Mapping[str, tuple[str, Script]] = {
    "greeting: none": ("deferred 4.4.2", {"": silent}),
    "greeting: hangs up": ("deferred 4.4.2", {"": hang_up}),
    "greeting: reset": ("deferred 4.4.2", {"": reset_later}),
    "greeting: 421": ("deferred 4.3.2", {"": b"421 4.3.2 busy\r\n"}),
    "greeting: 450": ("deferred 4.0.0", {"": b"450 later\r\n"}),
    "greeting: 554": ("deferred 4.7.1", {"": b"554 5.7.1 go away\r\n"}),
    "greeting: 500": ("deferred 4.0.0", {"": b"500 no\r\n"}),
    "greeting: 521, hangs up": ("deferred 4.3.2", {"": last(b"521 5.3.2 no mail\r\n")}),
    "greeting: 220, hangs up": ("deferred 4.4.2", {"": last(b"220 bad ESMTP\r\n")}),
    "greeting: half a line, hangs up": ("deferred 4.4.2", {"": last(b"220 bad ES")}),
    "greeting: half a line, silent": (
        "deferred 4.4.2",
        {"": then_silent(b"220 bad ES")},
    ),
    "greeting: no reply, hangs up": ("deferred 4.4.2", {"": last(b"hello there\r\n")}),
    "greeting: no reply, silent": (
        "deferred 4.4.2",
        {"": then_silent(b"hello there\r\n")},
    ),
    "greeting: no reply, then one": ("sent 2.0.0", {"": b"hello\r\n220 bad ESMTP\r\n"}),
    "greeting: HTTP": (
        "deferred 4.4.2",
        {"": last(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n<html></html>\n")},
    ),
    "greeting: TLS": ("deferred 4.4.2", {"": last(b"\x15\x03\x01\x00\x02\x02\x46")}),
    "greeting: TLS, silent": (
        "deferred 4.4.2",
        {"": then_silent(b"\x16\x03\x01\x00\x7a" * 9)},
    ),
    "greeting: never ends": ("deferred 4.5.0", {"": flood(b"220-bad\r\n")}),
    "greeting: never ends, no reply": ("deferred 4.5.0", {"": flood(b"bad\r\n")}),
    "greeting: one endless line": ("deferred 4.5.0", {"": flood(b"220 bad ")}),
    "greeting: empty lines": ("deferred 4.5.0", {"": flood(b"\r\n")}),
    "greeting: long line": ("sent 2.0.0", {"": b"220 " + b"a" * 3000 + b"\r\n"}),
    "greeting: NUL": ("sent 2.0.0", {"": b"220 \0b\0ad ESMTP\r\n"}),
    "greeting: only NUL": ("deferred 4.5.0", {"": flood(b"\0")}),
    "greeting: bare LF": ("sent 2.0.0", {"": b"220 bad ESMTP\n"}),
    "greeting: bare CR": ("deferred 4.4.2", {"": then_silent(b"220 bad ESMTP\r")}),
    "greeting: octet by octet": (
        "sent 2.0.0",
        {"": slowly(b"220 bad ESMTP\r\n", 0.01)},
    ),
    "greeting: octet by octet, too slowly": (
        "deferred 4.4.2",
        {"": slowly(b"220 bad ESMTP\r\n", 0.3)},
    ),
    "greeting: no text": ("sent 2.0.0", {"": b"220\r\n"}),
    "greeting: lines, last one missing": (
        "deferred 4.4.2",
        {"": then_silent(b"220-bad\r\n")},
    ),
    "greeting: 220 and 554": ("deferred 4.7.1", {"": b"220-bad\r\n554 5.7.1 no\r\n"}),
    "greeting: 554 and 220": ("sent 2.0.0", {"": b"554-bad\r\n220 yes\r\n"}),
    "greeting: 250": ("sent 2.0.0", {"": b"250 bad\r\n"}),
    "greeting: 354": ("deferred 4.5.0", {"": b"354 go\r\n"}),
    "greeting: 120": ("deferred 4.5.0", {"": then_silent(b"120 soon\r\n")}),
    "greeting: 000": ("deferred 4.5.0", {"": then_silent(b"000 bad\r\n")}),
    "greeting: 999": ("deferred 4.5.0", {"": then_silent(b"999 bad\r\n")}),
    "greeting: four digits": ("deferred 4.4.2", {"": then_silent(b"2200 bad\r\n")}),
    "greeting: two digits": ("deferred 4.4.2", {"": then_silent(b"22 bad\r\n")}),
    "greeting: twice": ("deferred 4.5.0", {"": FRIENDLY[""] * 2}),
    "greeting: everything at once": (
        "deferred 4.5.0",
        {
            "": FRIENDLY[""] + EHLO + OK * 4 + b"354 go\r\n250 2.0.0 have it\r\n",
            **dict.fromkeys(("EHLO", "MAIL", "RCPT", "DATA", "."), nothing),
        },
    ),
    "EHLO: none": ("deferred 4.4.2", {"EHLO": silent}),
    "EHLO: hangs up": ("deferred 4.4.2", {"EHLO": hang_up}),
    "EHLO: reset": ("deferred 4.4.2", {"EHLO": reset}),
    "EHLO: 421": ("deferred 4.3.2", {"EHLO": b"421 4.3.2 bye\r\n"}),
    "EHLO: 450": ("sent 2.0.0", {"EHLO": b"450 4.3.2 not now\r\n"}),
    "EHLO: 502, HELO": ("sent 2.0.0", {"EHLO": b"502 5.5.1 what?\r\n"}),
    "EHLO: 550, hangs up": ("deferred 4.4.2", {"EHLO": last(b"550 5.5.1 no\r\n")}),
    "EHLO: 354": ("sent 2.0.0", {"EHLO": b"354 go\r\n"}),
    "EHLO: 999": ("deferred 4.5.0", {"EHLO": then_silent(b"999 what\r\n")}),
    "EHLO: last line missing": (
        "deferred 4.4.2",
        {"EHLO": then_silent(b"250-bad\r\n250-DSN\r\n")},
    ),
    "EHLO: never ends": ("deferred 4.5.0", {"EHLO": flood(b"250-X-MORE\r\n")}),
    "EHLO: codes change": (
        "bounced 5.3.4",
        {"EHLO": b"250-bad\r\n550-SIZE 1\r\n250 DSN\r\n"},
    ),
    "EHLO: odd keywords": (
        "sent 2.0.0",
        {
            "EHLO": b"250-bad\r\n250-\r\n250-=\r\n250-\xff\0\r\n250-SIZE=\r\n"
            b"250  DSN\r\n"
        },
    ),
    "EHLO: many keywords": (
        "sent 2.0.0",
        {
            "EHLO": b"250-bad\r\n"
            + b"250-X-%d\r\n" * 90 % (*range(90),)
            + b"250 DSN\r\n"
        },
    ),
    "EHLO: too small": ("bounced 5.3.4", {"EHLO": b"250-bad\r\n250 SIZE 100\r\n"}),
    "EHLO: size of words": ("sent 2.0.0", {"EHLO": b"250-bad\r\n250 SIZE much\r\n"}),
    "EHLO: size below zero": ("sent 2.0.0", {"EHLO": b"250-bad\r\n250 SIZE -1\r\n"}),
    "EHLO: size beyond numbers": (
        "sent 2.0.0",
        {"EHLO": b"250-bad\r\n250 SIZE " + b"9" * 40 + b"\r\n"},
    ),
    "EHLO: TLS that is none": (
        "sent 2.0.0",
        {"EHLO": b"250-bad\r\n250 STARTTLS\r\n", "STAR": reset},
    ),
    "EHLO: twice": ("deferred 4.5.0", {"EHLO": b"250 bad\r\n" * 2}),
    "HELO: 550": ("bounced 5.7.1", {"EHLO": b"502 x\r\n", "HELO": b"550 5.7.1 no\r\n"}),
    "HELO: 450": (
        "deferred 4.7.1",
        {"EHLO": b"502 x\r\n", "HELO": b"450 4.7.1 no\r\n"},
    ),
    "HELO: 421": ("deferred 4.0.0", {"EHLO": b"502 x\r\n", "HELO": b"421 bye\r\n"}),
    "HELO: hangs up": ("deferred 4.4.2", {"EHLO": b"502 x\r\n", "HELO": hang_up}),
    "HELO: none": ("deferred 4.4.2", {"EHLO": b"502 x\r\n", "HELO": silent}),
}

#: From MAIL to the end of DATA, with commands in one piece.
COMMANDS: Mapping[str, tuple[str, Script]] = {
    "MAIL: 450": ("deferred 4.1.8", {"MAIL": b"450 4.1.8 later\r\n"}),
    "MAIL: 550": ("bounced 5.7.1", {"MAIL": b"550 5.7.1 no\r\n"}),
    "MAIL: 552": ("bounced 5.3.4", {"MAIL": b"552 5.3.4 too big\r\n"}),
    "MAIL: 421, hangs up": ("deferred 4.3.2", {"MAIL": last(b"421 4.3.2 bye\r\n")}),
    "MAIL: 421, goes on": ("deferred 4.3.2", {"MAIL": b"421 4.3.2 bye\r\n"}),
    "MAIL: 354": ("deferred 4.5.0", {"MAIL": b"354 go\r\n"}),
    "MAIL: none": ("deferred 4.4.2", {"MAIL": silent}),
    "MAIL: hangs up": ("deferred 4.4.2", {"MAIL": hang_up}),
    "MAIL: reset": ("deferred 4.4.2", {"MAIL": reset}),
    "MAIL: no reply": ("deferred 4.5.0", {"MAIL": then_silent(b"what\r\n")}),
    "MAIL: 999": ("deferred 4.5.0", {"MAIL": then_silent(b"999 what\r\n")}),
    "MAIL: 250 and 550": ("bounced 5.1.0", {"MAIL": b"250-a\r\n550 5.1.0 b\r\n"}),
    "MAIL: 550, DATA 354": (
        "bounced 5.7.1",
        {"MAIL": b"550 5.7.1 no\r\n", "DATA": b"354 go\r\n"},
    ),
    "RCPT: mixed": (
        "sent 2.0.0, deferred 4.2.0, bounced 5.1.1",
        {"RCPT": (OK, b"450 4.2.0 no\r\n", b"550 5.1.1 no\r\n")},
    ),
    "RCPT: mixed, one by one": (
        "deferred 4.2.0, sent 2.0.0, bounced 5.1.1",
        {**PLAIN, "RCPT": (b"450 4.2.0 no\r\n", OK, b"550 5.1.1 no\r\n")},
    ),
    "RCPT: 550, DATA 554": (
        "bounced 5.1.1",
        {"RCPT": (b"550 5.1.1 no\r\n",) * 3, "DATA": b"554 5.5.1 who?\r\n"},
    ),
    "RCPT: 550, DATA 354": ("bounced 5.1.1", {"RCPT": (b"550 5.1.1 no\r\n",) * 3}),
    "RCPT: 450 and 550, DATA 354": (
        "deferred 4.2.0, bounced 5.1.1, deferred 4.3.0",
        {"RCPT": (b"450 4.2.0 x\r\n", b"550 5.1.1 y\r\n", b"451 4.3.0 z\r\n")},
    ),
    "RCPT: 550, dot for nobody 550": (
        "bounced 5.1.1",
        {"RCPT": (b"550 5.1.1 no\r\n",) * 3, ".": b"550 5.5.1 no\r\n"},
    ),
    "RCPT: 550, hangs up at dot": (
        "bounced 5.0.0",
        {"RCPT": (b"550 no\r\n",) * 3, ".": hang_up},
    ),
    "RCPT: 251, 252": ("sent 2.0.0", {"RCPT": (b"251 x\r\n", b"252 y\r\n", OK)}),
    "RCPT: 452 too many": (
        "sent 2.0.0, deferred 4.5.3, sent 2.0.0",
        {"RCPT": (OK, b"452 4.5.3 many\r\n") * 2},
    ),
    "RCPT: 552 too many": (
        "sent 2.0.0, bounced 5.0.0, sent 2.0.0",
        {"RCPT": (OK, b"552 too many\r\n", OK)},
    ),
    "RCPT: 354": (
        "sent 2.0.0, deferred 4.5.0, sent 2.0.0",
        {"RCPT": (OK, b"354 go\r\n", OK)},
    ),
    "RCPT: 421, hangs up": (
        "deferred 4.4.2, deferred 4.3.2, deferred 4.4.2",
        {"RCPT": (OK, last(b"421 4.3.2 bye\r\n"))},
    ),
    "RCPT: 421, goes on": (
        "sent 2.0.0, deferred 4.3.2, sent 2.0.0",
        {"RCPT": (OK, b"421 4.3.2 bye\r\n", OK)},
    ),
    "RCPT: hangs up at second": (
        "bounced 5.0.0, deferred 4.4.2, deferred 4.4.2",
        {"RCPT": (b"550 no\r\n", hang_up)},
    ),
    "RCPT: hangs up at third": ("deferred 4.4.2", {**PLAIN, "RCPT": (OK, OK, hang_up)}),
    "RCPT: none at second": (
        "bounced 5.1.1, deferred 4.4.2, deferred 4.4.2",
        {"RCPT": (b"550 5.1.1 no\r\n", silent)},
    ),
    "RCPT: reset": ("deferred 4.4.2", {"RCPT": (OK, reset)}),
    "RCPT: no reply": (
        "deferred 4.5.0",
        {"RCPT": (OK, b"what\r\n", b"550 5.1.1 no\r\n")},
    ),
    "RCPT: no text": (
        "bounced 5.0.0, deferred 4.0.0, sent 2.0.0",
        {"RCPT": (b"550\r\n", b"450\r\n", b"250\r\n")},
    ),
    "RCPT: status only": (
        "bounced 5.7.2, deferred 4.7.2, sent 2.0.0",
        {"RCPT": (b"550 5.7.2\r\n", b"450 4.7.2\r\n", OK)},
    ),
    "RCPT: no CR": (
        "bounced 5.1.1, sent 2.0.0, deferred 4.0.0",
        {"RCPT": (b"550 5.1.1 no\n", b"250 ok\n", b"450 no\n")},
    ),
    "RCPT: wrong class": (
        "bounced 5.0.0, deferred 4.0.0, bounced 5.0.0",
        {"RCPT": (b"550 4.1.1 no\r\n", b"450 5.1.1 no\r\n", b"550 2.1.5 no\r\n")},
    ),
    "RCPT: wrong status": (
        "bounced 5.0.0",
        {"RCPT": (b"550 5.1111.1 no\r\n", b"550 5.1 no\r\n", b"550 5.1.1no\r\n")},
    ),
    "RCPT: codes change": (
        "bounced 5.7.1, deferred 4.7.1, sent 2.0.0",
        {
            "RCPT": (
                b"250-2.1.5 a\r\n550 5.7.1 b\r\n",
                b"550-5.1.1 a\r\n450 4.7.1 b\r\n",
                b"550-5.1.1 a\r\n250 2.1.5 b\r\n",
            )
        },
    ),
    "RCPT: one reply missing": (
        "bounced 5.1.1, deferred 4.4.2, deferred 4.5.0",
        {"RCPT": (b"550 5.1.1 no\r\n", nothing, OK)},
    ),
    "RCPT: one reply too many": (
        "bounced 5.1.1, bounced 5.1.1, deferred 4.5.0",
        {"RCPT": (b"550 5.1.1 no\r\n" * 2, OK, OK)},
    ),
    "RCPT: all at the last": (
        "sent 2.0.0, bounced 5.0.0, sent 2.0.0",
        {"RCPT": (nothing, nothing, OK + b"550 x\r\n" + OK)},
    ),
    "RCPT: before MAIL": ("sent 2.0.0", {"MAIL": nothing, "RCPT": (OK * 2, OK, OK)}),
    "RCPT: last line missing": (
        "deferred 4.4.2",
        {"RCPT": (OK, then_silent(b"250-ok\r\n"))},
    ),
    "RCPT: never ends": ("deferred 4.5.0", {"RCPT": (OK, flood(b"550-no\r\n"))}),
    "RCPT: never ends, no line": ("deferred 4.5.0", {"RCPT": (OK, flood(b"550 no"))}),
    "RCPT: octet by octet": (
        "bounced 5.1.1, sent 2.0.0, sent 2.0.0",
        {"RCPT": (slowly(b"550 5.1.1 no\r\n", 0.01),)},
    ),
    "RCPT: long line": (
        "bounced 5.1.1, sent 2.0.0, sent 2.0.0",
        {"RCPT": (b"550 5.1.1 " + b"n" * 1500 + b"\r\n",)},
    ),
    "RCPT: many lines": (
        "bounced 5.1.1, sent 2.0.0, sent 2.0.0",
        {"RCPT": (b"550-no\r\n" * 90 + b"550 5.1.1 no\r\n",)},
    ),
    "RCPT: UTF-8": (
        "bounced 5.1.1",
        {
            "RCPT": (
                "550 5.1.1 n\xf6, \u65e5\u672c\r\n".encode(),
                b"550 5.1.1 n\xf6\xff\r\n",
                "550 5.1.1 a\u2028b\u202ec\x85d\r\n".encode(),
            )
        },
    ),
    "RCPT: control octets": (
        "bounced 5.1.1",
        {
            "RCPT": (
                b"550 5.1.1 \x1b[2J\x07\x00 no\r\n",
                b"550 5.1.1 a\rOct 1 host postfix/smtp: status=sent\r\n",
                b"550 5.1.1 tab\tand (brackets) status=sent (250 ok)\x7f\r\n",
            )
        },
    ),
    "DATA: 451": ("deferred 4.3.0", {"DATA": b"451 4.3.0 later\r\n"}),
    "DATA: 554": ("bounced 5.3.0", {"DATA": b"554 5.3.0 no\r\n"}),
    "DATA: 250": ("deferred 4.5.0", {"DATA": b"250 2.0.0 ok\r\n"}),
    "DATA: 250, one by one": ("deferred 4.5.0", {**PLAIN, "DATA": b"250 2.0.0 ok\r\n"}),
    "DATA: 421": ("deferred 4.3.2", {"DATA": last(b"421 4.3.2 bye\r\n")}),
    "DATA: none": ("deferred 4.4.2", {"DATA": silent}),
    "DATA: hangs up": ("deferred 4.4.2", {"DATA": hang_up}),
    "DATA: 354, hangs up": ("deferred 4.4.2", {"DATA": last(b"354 go\r\n")}),
    "DATA: reset": ("deferred 4.4.2", {"DATA": reset}),
    "DATA: 354 and 554": ("bounced 5.3.0", {"DATA": b"354-go\r\n554 5.3.0 no\r\n"}),
    "DATA: 554 after 550": (
        "bounced 5.1.1, bounced 5.3.0, bounced 5.3.0",
        {"RCPT": (b"550 5.1.1 no\r\n",), "DATA": b"554 5.3.0 no\r\n"},
    ),
    "DATA: early": (
        "bounced 5.5.1",
        {"RCPT": (OK, OK, OK + b"354 go\r\n"), "DATA": nothing},
    ),
    "dot: 452": ("deferred 4.3.1", {".": b"452 4.3.1 full\r\n"}),
    "dot: 554": ("bounced 5.7.1", {".": b"554-5.7.1 spam\r\n554 5.7.1 really\r\n"}),
    "dot: 554 after 450": (
        "deferred 4.0.0, bounced 5.0.0, bounced 5.0.0",
        {"RCPT": (b"450 no\r\n",), ".": b"554 spam\r\n"},
    ),
    "dot: 421": ("deferred 4.3.2", {".": last(b"421 4.3.2 bye\r\n")}),
    "dot: 354": ("deferred 4.5.0", {".": b"354 go on\r\n"}),
    "dot: none": ("deferred 4.4.2", {".": silent}),
    "dot: hangs up": ("deferred 4.4.2", {".": hang_up}),
    "dot: reset": ("deferred 4.4.2", {".": reset}),
    "dot: half a reply": ("deferred 4.4.2", {".": last(b"250 2.0.0 Ok: que")}),
    "dot: last line missing": (
        "deferred 4.4.2",
        {".": then_silent(b"250-2.0.0 a\r\n")},
    ),
    "dot: 250 and 554": ("bounced 5.7.1", {".": b"250-2.0.0 a\r\n554 5.7.1 b\r\n"}),
    "dot: 554 and 250": ("sent 2.0.0", {".": b"554-5.7.1 a\r\n250 2.0.0 b\r\n"}),
    "dot: 250, hangs up": ("sent 2.0.0", {".": last(b"250 2.0.0 ok\r\n")}),
    "dot: 250 twice": ("sent 2.0.0", {".": b"250 2.0.0 a\r\n250 2.0.0 b\r\n"}),
    "dot: 250 and no reply": ("sent 2.0.0", {".": b"250 2.0.0 a\r\nwhat\r\n"}),
    "dot: 250, flood": ("sent 2.0.0", {".": flood(b"250 2.0.0 a\r\n")}),
    "dot: no text": ("sent 2.0.0", {".": b"250\r\n"}),
    "dot: wrong class": ("sent 2.0.0", {".": b"250 5.7.1 ok\r\n"}),
    "dot: no reply, then one": ("sent 2.0.0", {".": b"what\r\n250 2.0.0 ok\r\n"}),
    "dot: no reply, one by one": (
        "sent 2.0.0",
        {**PLAIN, ".": b"what\r\n250 2.0.0 ok\r\n"},
    ),
    "dot: 299": ("sent 2.0.0", {".": b"299 ok\r\n"}),
    "dot: 150": ("deferred 4.5.0", {".": then_silent(b"150 wait\r\n")}),
    "dot: 699": ("deferred 4.5.0", {".": then_silent(b"699 ok\r\n")}),
    "QUIT: 500": ("sent 2.0.0", {"QUIT": b"500 no\r\n"}),
    "QUIT: none": ("sent 2.0.0", {"QUIT": silent}),
    "QUIT: reset": ("sent 2.0.0", {"QUIT": reset}),
}

#: A message of some megabytes.
LARGE: Mapping[str, tuple[str, Script]] = {
    "content: good": ("sent 2.0.0", {}),
    "content: unhurried": ("sent 2.0.0", {"DATA": unhurried(0.02)}),
    "content: stops reading": ("deferred 4.4.2", {"DATA": stalled(40_000)}),
    "content: stops reading at once": ("deferred 4.4.2", {"DATA": stalled(0)}),
    "content: 451 in the middle": (
        "deferred 4.3.0",
        {"DATA": interrupts(b"451 4.3.0 enough\r\n", nothing)},
    ),
    "content: 554 in the middle, hangs up": (
        "bounced 5.7.1",
        {"DATA": interrupts(b"554 5.7.1 enough\r\n", hang_up)},
    ),
    # Not here: 554 and then a reset. Which of both we meet first is chance.
    "content: 250 in the middle": (
        "deferred 4.5.0",
        {"DATA": interrupts(b"250 2.0.0 enough\r\n", nothing)},
    ),
    "content: hangs up in the middle": (
        "deferred 4.4.2",
        {"DATA": interrupts(b"", hang_up)},
    ),
    "content: reset in the middle": (
        "deferred 4.4.2",
        {"DATA": interrupts(b"", reset)},
    ),
}

#: With LMTP: after the dot, a reply for each recipient.
LMTP: Mapping[str, tuple[str, Script]] = {
    "LMTP: good": ("sent 2.1.5", {".": OK * 3}),
    "LMTP: greeting 554": ("deferred 4.7.1", {"": b"554 5.7.1 no\r\n"}),
    "LMTP: LHLO 421": ("deferred 4.3.2", {"LHLO": b"421 4.3.2 bye\r\n"}),
    "LMTP: LHLO 500": ("bounced 5.5.1", {"LHLO": b"500 5.5.1 what\r\n"}),
    "LMTP: LHLO none": ("deferred 4.4.2", {"LHLO": silent}),
    "LMTP: MAIL 550": ("bounced 5.7.1", {"MAIL": b"550 5.7.1 no\r\n"}),
    "LMTP: RCPT 550": (
        "sent 2.1.5, bounced 5.1.1, sent 2.1.5",
        {"RCPT": (OK, b"550 5.1.1 no\r\n", OK), ".": OK * 2},
    ),
    "LMTP: RCPT 550, answer all the same": (
        "bounced 5.1.1, deferred 4.2.0, sent 2.1.5",
        {"RCPT": (b"550 5.1.1 no\r\n",), ".": b"450 4.2.0 no\r\n" + OK * 2},
    ),
    "LMTP: RCPT 550, DATA 354": (
        "bounced 5.1.1",
        {"RCPT": (b"550 5.1.1 no\r\n",) * 3, ".": b""},
    ),
    "LMTP: RCPT 421": (
        "sent 2.1.5, deferred 4.3.2, sent 2.1.5",
        {"RCPT": (OK, b"421 4.3.2 bye\r\n", OK), ".": OK * 2},
    ),
    "LMTP: DATA 451": ("deferred 4.3.0", {"DATA": b"451 4.3.0 later\r\n"}),
    "LMTP: dot mixed": (
        "sent 2.1.5, deferred 4.2.2, bounced 5.2.1",
        {".": b"250 2.1.5 a\r\n452 4.2.2 full\r\n550 5.2.1 off\r\n"},
    ),
    "LMTP: dot lines": (
        "bounced 5.2.1, sent 2.1.5, sent 2.0.0",
        {".": b"250-2.1.5 a\r\n550 5.2.1 b\r\n550-5.1.1 a\r\n250 2.1.5 b\r\n250\r\n"},
    ),
    "LMTP: dot one answer for all, silent": (
        "sent 2.1.5, deferred 4.4.2, deferred 4.4.2",
        {".": then_silent(OK)},
    ),
    "LMTP: dot one answer for all, hangs up": (
        "sent 2.1.5, deferred 4.4.2, deferred 4.4.2",
        {".": last(OK)},
    ),
    "LMTP: dot half an answer": (
        "sent 2.1.5, deferred 4.4.2, deferred 4.4.2",
        {".": last(OK + b"550 5.2.1 o")},
    ),
    "LMTP: dot none": ("deferred 4.4.2", {".": silent}),
    "LMTP: dot reset": ("deferred 4.4.2", {".": reset}),
    "LMTP: dot too many": ("sent 2.1.5", {".": OK * 4}),
    "LMTP: dot 421, goes on": (
        "sent 2.1.5, deferred 4.3.2, sent 2.1.5",
        {".": OK + b"421 4.3.2 bye\r\n" + OK},
    ),
    "LMTP: dot 421, hangs up": (
        "sent 2.1.5, deferred 4.3.2, deferred 4.4.2",
        {".": last(OK + b"421 4.3.2 bye\r\n")},
    ),
    "LMTP: dot no reply": (
        "sent 2.1.5, deferred 4.5.0, deferred 4.5.0",
        {".": OK + b"what\r\n" + OK * 2},
    ),
    "LMTP: dot 354": (
        "sent 2.1.5, deferred 4.5.0, sent 2.1.5",
        {".": OK + b"354 go\r\n" + OK},
    ),
    "LMTP: dot never ends": ("deferred 4.5.0", {".": flood(b"250-a\r\n")}),
}

#: A second message soon after a first one that is delivered; the connection
#: is kept in between.
AGAIN: Mapping[str, tuple[str, Script]] = {
    "again: good": ("sent 2.0.0", {}),
    "again: hung up": ("sent 2.0.0", {".": last(b"250 2.0.0 ok\r\n")}),
    "again: hangs up at MAIL": ("sent 2.0.0", {"MAIL": (OK, hang_up)}),
    "again: resets at MAIL": ("sent 2.0.0", {"MAIL": (OK, reset)}),
    "again: 421 at MAIL": ("sent 2.0.0", {"MAIL": (OK, last(b"421 4.4.2 idle\r\n"))}),
    "again: 550 at MAIL": (
        "bounced 5.7.1",
        {"MAIL": (OK, b"550 5.7.1 one is enough\r\n")},
    ),
    "again: none at MAIL": ("sent 2.0.0", {"MAIL": (OK, silent)}),
    "again: 421 before": ("sent 2.0.0", {".": b"250 2.0.0 ok\r\n421 4.4.2 idle\r\n"}),
    "again: hangs up at RCPT": ("deferred 4.4.2", {"RCPT": (OK, hang_up)}),
    "again: 500 at RSET": ("sent 2.0.0", {"RSET": b"500 5.5.1 what\r\n"}),
    "again: hangs up at RSET": ("sent 2.0.0", {"RSET": hang_up}),
}
