"""
The content part of an SMTP server session: DATA and BDAT.

Owns: what happens between 354 or BDAT and the reply to the message; the size
    limit; refusing bare newlines in content.
Knows nothing of: the other commands (L{txmta.smtp.engine}).

Sources: RFC 5321 section 4.1.1.4; RFC 3030 section 2; Postfix
C{smtpd/smtpd.c} (data_cmd, bdat_cmd, common_post_message_handling).

Errors: none.
"""

from __future__ import annotations

from txmta.model import Reply
from txmta.smtp.commands import REFUSALS, State
from txmta.smtp.data import ChunkReader, DataReader
from txmta.smtp.dialogue import Dialogue
from txmta.smtp.requests import (
    Chunk,
    End,
    Forget,
    Open,
    Refused,
    Sender,
    Transaction,
    Warning_,
)

_GO_ON = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
_TOO_BIG = Reply(552, "5.3.4", "Error: message file too big")
_CHUNK_TOO_BIG = Reply(552, "5.3.4", "Chunk exceeds message size limit")
_QUEUED = "Ok: queued as "


class Content(Dialogue):
    """
    @ivar transaction: L{None} outside of one.
    """

    transaction: Transaction | None = None

    # Of the command under way, of the MAIL that waits for an answer, of the
    # content: there before they are used.
    _counted: list[int]
    _asked: Sender
    _reader: DataReader | ChunkReader

    # A message was opened and not ended or forgotten.
    _open = False
    # Why the content is dropped; said when it has been read.
    _failure: Reply | None = None
    _announced = 0
    _last = False
    _ending = False

    @property
    def stage(self) -> str:
        if self.state in (State.DATA, State.CHUNK):
            return f"{self.where} ({self._reader.size} bytes)"
        return self.where

    @property
    def committing(self) -> bool:
        return self._ending

    def _forget(self) -> None:
        if self.transaction is not None and not self._ending:
            self._requests.append(Forget())
        self._over()

    def _over(self) -> None:
        """
        There is no transaction any more.
        """
        self.transaction = None
        self._open = False
        self._failure = None
        if self.state is not State.CLOSED:
            self.state = State.IDLE

    def drop(self, failure: Reply) -> None:
        """
        The content cannot be taken any more; say so when it has been read.
        """
        if self.state in (State.DATA, State.CHUNK, State.CHUNKS):
            self._drop(failure)

    def _drop(self, failure: Reply) -> None:
        """
        Read on, but keep nothing.
        """
        self._failure = failure
        if self._open:
            self._open = False
            self._requests.append(Forget())

    def _warn(self, text: str, queued: bool = False) -> None:
        self._requests.append(Warning_(text, queued))

    def _accept(self, reply: Reply) -> None:
        """
        The command under way succeeded.
        """
        self._counted[0] += 1
        self._say(reply)

    # DATA

    def _data_opened(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._fail(reply)
            return
        self._reader = DataReader()
        self._failure = None
        self._open = True
        self.state = State.DATA
        self._say(_GO_ON)

    # BDAT

    def _chunk(self, size: int, last: bool) -> None:
        """
        BDAT, syntax checked. Whatever we say, the chunk is read first.
        """
        self._announced = size
        self._last = last
        before, self.state = self.state, State.CHUNK
        if before is State.CHUNKS:
            self._begin_chunk()
            return
        reader = self._reader = ChunkReader()
        reader.left = size
        if before is State.RECIPIENTS:
            self._failure = None
            self._ask(Open(), self._chunks_opened)
        elif before in (State.CHUNKS_FAILED, State.CHUNKS_STRAY):
            words = f"Discarded {size} bytes after earlier error"
            self._failure = Reply(551, "5.0.0", words)
        else:
            self._failure = REFUSALS[before][b"BDAT"]

    def _chunks_opened(self, reply: Reply) -> None:
        if reply.code >= 400:
            self._failure = reply
            return
        self._open = True
        self._begin_chunk()

    def _begin_chunk(self) -> None:
        reader = self._reader
        assert isinstance(reader, ChunkReader), "BDAT"
        reader.left = self._announced
        limit = self.rules.limits.size
        if limit and self._announced > limit:
            self._requests.append(
                Warning_(
                    f"BDAT request from {self.label} exceeds message size limit", True
                )
            )
            self._drop(_CHUNK_TOO_BIG)

    # Both

    def _content(self) -> bool:
        reader = self._reader
        data = self.stream.take() if self.stream.pending else b""
        if not data and not (isinstance(reader, ChunkReader) and not reader.left):
            return False
        block, rest = reader.feed(data)
        if block:
            self._block(block)
        if rest is None:
            return True
        if rest:
            self.stream.push(rest)
        if isinstance(reader, ChunkReader):
            self._chunk_complete(reader)
        else:
            self._complete()
        return True

    def _block(self, block: bytes) -> None:
        if self._failure is not None:
            return
        reader = self._reader
        limit = self.rules.limits.size
        if limit and reader.size > limit:
            self._requests.append(Warning_("queue file size limit exceeded", True))
            self._drop(_TOO_BIG)
        else:
            self._requests.append(Chunk(block))

    def _chunk_complete(self, reader: ChunkReader) -> None:
        self._newline("BDAT content")
        if self._last:
            missing = reader.finish()
            if missing:
                self._block(missing)
            self._complete()
        elif self._failure is not None:
            stray = self.transaction is None
            self.state = State.CHUNKS_STRAY if stray else State.CHUNKS_FAILED
            self._fail(self._failure)
        else:
            self.state = State.CHUNKS
            self._counted[0] += 1
            self._say(Reply(250, "2.0.0", f"Ok: {self._announced} bytes"))

    def _newline(self, stage: str) -> None:
        mode = self.rules.bare_newline
        if (
            not self._reader.bare_newline
            or self.spared
            or self._failure is not None
            or mode not in ("reject", "note")
        ):
            return
        self._requests.append(Refused(stage, "bare <LF> received", mode))
        if mode == "reject":
            self._drop(self._newline_reply())

    def _complete(self) -> None:
        """
        The whole message has been read.
        """
        self.where = "END-OF-MESSAGE"
        if isinstance(self._reader, DataReader) or self._last:
            self._newline("END-OF-MESSAGE")
        failure = self._failure
        if failure is not None:
            self._forget()
            self._fail(failure)
            return
        self._open = False
        self._ending = True
        self.state = State.IDLE
        self._ask(End(), self._ended)

    def _ended(self, reply: Reply) -> None:
        chunks = isinstance(self._reader, ChunkReader)
        size = self._reader.size
        self._over()
        self._ending = False
        if reply.code >= 400:
            self._fail(reply)
            return
        self._errors = 0
        self._junk = 0
        if self.recording is not None:
            self.recording.forgive()
        if chunks and reply.text.startswith(_QUEUED):
            words = f"Ok: {size} bytes queued as {reply.text[len(_QUEUED) :]}"
            reply = Reply(reply.code, reply.status, words, reply.close)
        self._counted[0] += 1
        self._say(reply)
