"""
What the postmaster is told of a session in which something went wrong.

Owns: the words, which are Postfix's.
Knows nothing of: what counts as trouble, who is told.

Sources: Postfix C{smtpd/smtpd_chat.c}, C{smtp/smtp_chat.c}.

Errors: none.
"""

from __future__ import annotations

from txmta.address import quote
from txmta.model import Transcript
from txmta.queue.bounce import Site, safe, wrap

#: Lines that are shown; of more, the first and the last.
MAX_LINES = 400


def session_notice(
    to: str, transcript: Transcript, site: Site, date: bytes, message_id: str
) -> bytes:
    """
    @param date: as RFC 5322 has it.
    @return: all but the trace header, in wire form.
    """
    name, peer = safe(site.mail_name), safe(transcript.peer)
    out = [
        f"From: Mail Delivery System <{safe(site.daemon)}>\r\n",
        f"To: Postmaster <{safe(quote(to))}>\r\n",
        f"Subject: {name} SMTP {transcript.role}: errors from {peer}\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "MIME-Version: 1.0\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
        f"Message-Id: {message_id}\r\n\r\n",
    ]
    if transcript.role == "client":
        out.append(f"Unexpected response from {peer}.\r\n\r\n")
    out.append("Transcript of session follows.\r\n\r\n")
    out += [
        wrap(f" Out: {x}" if ours else f" In:  {x}") for ours, x in _some(transcript)
    ]
    if transcript.role == "server":
        out.append("\r\n")
    if transcript.reason:
        out.append(f"Session aborted, reason: {safe(transcript.reason)}\r\n")
    out.append("\r\nFor other details, see the local mail logfile\r\n")
    return b"Date: " + date + b"\r\n" + "".join(out).encode()


def _some(transcript: Transcript) -> list[tuple[bool, str]]:
    lines = list(transcript.lines)
    if len(lines) <= MAX_LINES:
        return lines
    left_out = f"... {len(lines) - MAX_LINES} lines are left out ..."
    half = MAX_LINES // 2
    return [*lines[:half], (True, left_out), *lines[-half:]]
