"""
A message as C{postcat} shows it: Postfix's records, made from what we keep.

Owns: names, order and numbers of the records; where headers end.
Knows nothing of: where the message was read.

Sources: Postfix C{postcat/postcat.c}, C{global/rec_type.h},
C{global/mail_proto.h}, C{global/is_header.c}.

Errors: none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from txmta.model import Envelope

#: Numbers of record types, as C{-d} shows them.
SIZE, TIME, ATTRIBUTE, SENDER, ORIGINAL, RECIPIENT, DONE = map(ord, "CTASORD")
CONTENT, TEXT, EXTRACTED, END = map(ord, "MNXE")

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")

_RET = {"FULL": "1", "HDRS": "2"}
_ENCODING = {"7BIT": "7bit", "8BITMIME": "8bit"}


@dataclass(frozen=True)
class Shown:
    """
    What of a message is wanted.

    @ivar types: with numbers in front (C{-d}).
    @ivar verbose: with a name in front of each line of text (C{-v}).
    """

    envelope: bool = True
    headers: bool = True
    body: bool = True
    types: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Message:
    """
    @ivar name: C{"deferred/ID"}.
    @ivar envelope: with all recipients.
    @ivar left: numbers of those still to do.
    @ivar size: octets of content.
    """

    name: str
    envelope: Envelope
    left: Collection[int]
    size: int


def records(message: Message, lines: Iterable[bytes], shown: Shown) -> Iterator[bytes]:
    """
    @param lines: of content, without line ends.
    @return: lines, complete.
    """

    def marker(kind: int, text: str) -> bytes:
        return _typed(kind, f"*** {text} {message.name} ***\n".encode(), shown)

    if shown.envelope:
        yield f"*** ENVELOPE RECORDS {message.name} ***\n".encode()
        for kind, text in _envelope(message):
            yield _typed(kind, text.encode("utf-8", "surrogateescape"), shown)
        yield marker(CONTENT, "MESSAGE CONTENTS")
    in_headers = True
    for line in lines:
        if in_headers and not (_HEADER.match(line) or line[:1] in (b" ", b"\t")):
            in_headers = False
        if shown.headers if in_headers else shown.body:
            prefix = b"regular_text: " if shown.verbose else b""
            yield _typed(TEXT, prefix + line + b"\n", shown)
        elif not in_headers and not shown.body:
            break
    if shown.envelope:
        yield marker(EXTRACTED, "HEADER EXTRACTED")
        yield marker(END, "MESSAGE FILE END")


def _typed(kind: int, line: bytes, shown: Shown) -> bytes:
    return b"%3d %s" % (kind, line) if shown.types else line


def _envelope(message: Message) -> Iterator[tuple[int, str]]:
    envelope, size = message.envelope, message.size
    numbers = (size, 0, len(envelope.recipients), 0, size, 0)
    yield SIZE, f"message_size: {' '.join(f'{n:>15}' for n in numbers)}\n"
    stamp = time.asctime(time.localtime(int(envelope.arrival)))
    yield TIME, f"message_arrival_time: {stamp}\n"
    yield ATTRIBUTE, f"create_time: {stamp}\n"
    for name, value in _attributes(envelope):
        if name == "sender":
            yield SENDER, f"sender: {value}\n"
        elif value:
            yield ATTRIBUTE, f"named_attribute: {name}={value}\n"
    for recipient in envelope.recipients:
        if recipient.notify:
            yield ATTRIBUTE, f"named_attribute: notify_flags={recipient.notify:d}\n"
        if recipient.orcpt:
            yield ATTRIBUTE, f"named_attribute: dsn_orig_rcpt={recipient.orcpt}\n"
        yield ORIGINAL, f"original_recipient: {recipient.original}\n"
        if recipient.n in message.left:
            yield RECIPIENT, f"recipient: {recipient.address}\n"
        else:
            yield DONE, f"done_recipient: {recipient.address}\n"


def _attributes(envelope: Envelope) -> Iterator[tuple[str, str]]:
    client = envelope.client
    yield "log_ident", envelope.queue_id
    yield "rewrite_context", "local" if envelope.local_origin else "remote"
    yield "envelope_id", envelope.envid
    yield "ret_flags", _RET.get(envelope.ret, "")
    yield "trace_flags", str(int(envelope.trace) or "")
    yield "sender", envelope.sender
    yield "encoding", _ENCODING.get(envelope.body, "")
    port = str(client.port or "")
    if envelope.protocol:
        yield "log_client_name", client.name
        yield "log_client_address", client.address
        yield "log_client_port", port
        yield "log_message_origin", client.label
        yield "log_helo_name", envelope.helo
        yield "log_protocol_name", envelope.protocol
        yield "client_name", client.name
        yield "reverse_client_name", client.reverse_name
        yield "client_address", client.address
        yield "client_port", port
        yield "helo_name", envelope.helo
        yield "protocol_name", envelope.protocol
        yield "client_address_type", "10" if ":" in client.address else "2"
    if envelope.login is not None:
        yield "sasl_method", envelope.login.method
        yield "sasl_username", envelope.login.username
        yield "sasl_sender", envelope.login.sender
