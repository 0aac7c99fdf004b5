"""
The turn-taking of an SMTP session: lines in, replies and requests out.

Owns: that one command is answered before the next is looked at, the delay and
    the end of a session with too many errors, the counts of commands.
Knows nothing of: what commands mean (L{txmta.smtp.engine}).

Sources: RFC 5321 section 4.1; RFC 2920. Postfix: C{smtpd/smtpd.c} (smtpd_proto),
C{smtpd/smtpd_chat.c} (delays).

Errors: none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from txmta.model import Client, Reply
from txmta.smtp.commands import State
from txmta.smtp.recording import Recording
from txmta.smtp.requests import Noted, Refused, Request, Sleep, Trouble
from txmta.smtp.rules import Rules
from txmta.smtp.session import Session
from txmta.smtp.stream import Stream
from txmta.smtp.transcript import Transcript

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_ESCAPES = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    92: "\\\\",
}

#: Stages after which nobody is told that the client went away.
_AFTER_DOT = "END-OF-MESSAGE"


#: The client of a session that nobody named.
NOBODY = Client("unknown", 0)


def escape(octets: bytes) -> str:
    """
    @return: octets as Postfix's C{escape()} shows them in the log.
    """
    return "".join(
        _ESCAPES.get(c) or (chr(c) if 32 <= c < 127 else f"\\{c:03o}") for c in octets
    )


def _ignore(data: bytes) -> None:
    """
    What comes after the end.
    """


class Turns:
    """
    Who speaks next.

    @ivar session: what is known of it.
    @ivar state: where it is.
    @ivar stream: what arrived and is not used yet.
    @ivar receive: takes octets that have arrived.
    @ivar recording: keeps what is said, if somebody may want to know.
    @ivar busy: it is we who let the client wait, for an answer or for the end
        of a L{Sleep}.
    @ivar closed: hang up after the replies that are to be sent.
    """

    def __init__(self, rules: Rules, session: Session | None = None) -> None:
        """
        @param session: what is known of the client already.
        """
        self.rules = rules
        self.session = session or Session(NOBODY)
        self.state = State.IDLE
        self.stream = Stream(rules.limits.line)
        self.receive: Callable[[bytes], object] = self.stream.feed
        self.recording: Recording | Transcript | None = None
        self._requests: deque[Request] = deque()
        self._out: list[bytes] = []
        self._held: list[bytes] = []
        self._asleep = False
        self._then: Callable[[Reply], None] | None = None
        # Nothing is looked at before the greeting.
        self.busy = True
        self.closed = False
        self._errors = 0

    def next(self) -> Request | None:
        """
        @return: what is to be done next; L{None}: wait for octets, an answer
            or the end of a L{Sleep}, whatever is outstanding.
        """
        requests = self._requests
        while not requests:
            if self.busy or self.state is State.CLOSED or not self._step():
                return None
        return requests.popleft()

    def answer(self, reply: Reply) -> None:
        """
        Answer the request that asked.
        """
        then = self._then
        assert then is not None, "nothing was asked"
        self._then = None
        self.busy = self._asleep
        if self.state is not State.CLOSED:
            then(reply)

    def output(self) -> bytes:
        """
        @return: replies to send now.
        """
        if not self._out:
            return b""
        out = self._out
        self._out = []
        return out[0] if len(out) == 1 else b"".join(out)

    def wake(self) -> None:
        """
        The L{Sleep} is over.
        """
        self._asleep = False
        self.busy = self._then is not None
        self.closed = self.state is State.CLOSED
        self._out += self._held
        self._held.clear()

    def _step(self) -> bool:
        """
        Use some input.

        @return: C{False}: more is needed.
        """
        raise NotImplementedError

    def _forget(self) -> None:
        """
        End the transaction, if there is one.
        """
        raise NotImplementedError

    def _ask(self, request: Request, then: Callable[[Reply], None]) -> None:
        self._requests.append(request)
        self._then = then
        self.busy = True

    def _say(self, reply: Reply) -> None:
        if reply.code >= 400 and self.rules.footer is not None:
            reply = self.rules.footer.below(reply, self.session)
        if not reply.text.isprintable() and _CONTROL.search(reply.text):
            words = _CONTROL.sub("?", reply.text)
            reply = Reply(reply.code, reply.status, words, reply.close)
        limits = self.rules.limits
        if self._errors >= limits.soft_errors and limits.sleep and not self._asleep:
            self._asleep = self.busy = True
            self._requests.append(Sleep(limits.sleep))
        (self._held if self._asleep else self._out).append(reply.encode())
        recording = self.recording
        if recording is not None:
            (recording.heard if reply.code < 400 else recording.said)(reply)
        if reply.close or reply.code in (421, 521):
            self._end()

    def _fail(self, reply: Reply) -> None:
        """
        Say what counts as the client's error.
        """
        self._errors += 1
        self._say(reply)

    def _close(self, reply: Reply) -> None:
        self._say(reply)
        self._end()

    def _end(self) -> None:
        if self.state is State.CLOSED:
            return
        self._forget()
        self.state = State.CLOSED
        self.closed = not self._asleep
        self.stream.clear()
        self.receive = _ignore


class Dialogue(Turns):
    """
    @ivar where: the last command, as log lines name it.
    @ivar counts: verb in lower case to [accepted, all].
    @ivar label: the client, for log lines.
    @ivar spared: smtpd_forbid_bare_newline_exclusions lists the client.
    @ivar denied: what is said in place of 220, if the client may do nothing.
    """

    denied: Reply | None = None
    where = "CONNECT"
    label = ""
    spared = False
    _draining = False
    _junk = 0

    def __init__(self, rules: Rules, session: Session | None = None) -> None:
        super().__init__(rules, session)
        self.counts: dict[str, list[int]] = {}

    @property
    def committing(self) -> bool:
        """
        Whether a whole message is being taken, so that nobody may abort it.
        """
        return False

    def greet(self, label: str, spared: bool) -> None:
        """
        The client has a name: say 220.

        @param label: C{name[address]}.
        @param spared: see the attribute.
        """
        self.label = label
        self.spared = spared
        if self.state is State.CLOSED:
            return
        self.busy = False
        if self._draining:
            self._close(self._stopping())
        elif self.rules.forbid_unauth_pipelining and self.stream.pending:
            self._out_of_step()
        else:
            self._errors += self.denied is not None
            self._say(self.denied or self.rules.greeting)

    def refuse(self, reply: Reply) -> None:
        """
        Say something else than 220, and hang up.
        """
        self.busy = False
        self._close(reply)

    def time_out(self) -> None:
        """
        The client took too long.
        """
        words = f"{self.rules.hostname} Error: timeout exceeded"
        self._abandon("timeout", Reply(421, "4.4.2", words))

    def lost(self) -> None:
        """
        The connection is gone.
        """
        if self.state is State.CLOSED:
            return
        stage = self.stage
        if stage != _AFTER_DOT:
            self._requests.append(Trouble("lost connection", stage))
        self._end()

    def drain(self) -> None:
        """
        The server stops: say 421 as soon as there is no transaction and no
        question open. A command that has not arrived whole does not count.
        """
        self._draining = True

    def stop(self) -> None:
        """
        The server stops, and waits no longer.
        """
        if self.state is not State.CLOSED:
            self._close(self._stopping())

    @property
    def stage(self) -> str:
        """
        Where the session is, for log lines.
        """
        return self.where

    def _abandon(self, trouble: str, reply: Reply) -> None:
        if self.state is State.CLOSED:
            return
        self._requests.append(Trouble(trouble, self.stage))
        self._close(reply)

    def _too_many_errors(self) -> None:
        words = f"{self.rules.hostname} Error: too many errors"
        self._abandon("too many errors", Reply(421, "4.7.0", words))

    def _stopping(self) -> Reply:
        words = "Service not available, closing transmission channel"
        return Reply(421, "4.3.2", f"{self.rules.hostname} {words}")

    def _out_of_step(self) -> None:
        """
        Commands came ahead that were not allowed to.
        """
        ahead = escape(self.stream.start(100))
        self._requests.append(
            Noted(
                f"improper command pipelining after {self.where} from "
                f"{self.label}: {ahead}"
            )
        )
        self._close(Reply(554, "5.5.0", "Error: SMTP protocol synchronization"))

    def _bare_newline(self) -> bool:
        """
        A command ended in LF without CR.

        @return: it is refused, and the session with it.
        """
        mode = self.rules.bare_newline
        if self.spared or mode not in ("reject", "note"):
            return False
        self._requests.append(Refused(self.where, "bare <LF> received", mode))
        if mode == "note":
            return False
        self._close(self._newline_reply())
        return True

    def _newline_reply(self) -> Reply:
        code = self.rules.bare_newline_code
        words = f"{self.rules.hostname} Error: bare <LF> received"
        return Reply(code, f"{code // 100}.5.2", words)
