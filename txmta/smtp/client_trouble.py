"""
What can go wrong with a server, in Postfix's words.

Owns: the words and status codes of every failure of an SMTP client session.
Knows nothing of: what is done about it: defer, bounce, try the next host.

Sources: Postfix C{src/smtp/smtp_trouble.c}, C{smtp_proto.c}; RFC 3463.

Errors: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from txmta.smtp.replies import ServerReply


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    Why some recipients, or all, were not delivered.

    @ivar status: RFC 3463 code; class 4 means "later", 5 "never".
    @ivar reason: one line, never empty.
    @ivar reply: what the server said, C{"550 5.1.1 no"}; C{""} when the
        server decided nothing.
    @ivar unused: a kept connection turned out to be dead: nothing was tried.
    @ivar elsewhere: class 5 only if no other server is left to try.
    """

    status: str
    reason: str
    reply: str = ""
    unused: bool = False
    elsewhere: bool = False

    @property
    def soft(self) -> bool:
        """
        Whether another server may be tried.
        """
        return self.elsewhere or self.status[0] == "4"

    def as_unused(self) -> Trouble:
        """
        The same, on a kept connection before anything was answered.
        """
        return replace(self, unused=True)

    def as_tried(self) -> Trouble:
        """
        The same, on a connection that was made for this.
        """
        return replace(self, unused=False)


def said(peer: str, reply: ServerReply, request: str) -> Trouble:
    """
    @param peer: C{host[address]}.
    @param request: C{"RCPT TO command"}.
    """
    text = reply.text
    reason = f"host {peer} said: {text} (in reply to {request})"
    if reply.code >= 400:
        return Trouble(reply.status, reason, text)
    # A positive answer where none was due: the server is confused. Postfix
    # bounces with 5.5.0; we say "later", as for all that is not a refusal.
    return Trouble("4.5.0", f"Protocol error: {reason}", text)


def refused(peer: str, reply: ServerReply, soften: bool = False) -> Trouble:
    """
    The server does not want to talk to us at all.

    @param soften: smtp_skip_5xx_greeting: this server's "never" counts as
        "not here, not now".
    """
    text = reply.text
    status = "4.5.0" if reply.code < 400 else reply.status
    if soften and status[0] == "5":
        status = "4" + status[1:]
    return Trouble(status, f"host {peer} refused to talk to me: {text}", text)


def lost(peer: str, doing: str) -> Trouble:
    """
    @param doing: C{"sending RCPT TO"}.
    """
    return Trouble("4.4.2", f"lost connection with {peer} while {doing}")


def timed_out(peer: str, doing: str) -> Trouble:
    """
    @param doing: C{"sending RCPT TO"}.
    """
    return Trouble("4.4.2", f"conversation with {peer} timed out while {doing}")


def garbage(peer: str, problem: str, octets: bytes, doing: str) -> Trouble:
    """
    @param problem: as in L{BadReply<txmta.errors.BadReply>}.
    """
    start = ServerReply(400, (octets[:80],)).text
    return Trouble("4.5.0", f"{problem} from {peer} while {doing}: {start}")


def not_connected(relay: str, why: str) -> Trouble:
    """
    @param relay: C{host[address]:port}.
    @param why: C{"Connection refused"}.
    """
    return Trouble("4.4.1", f"connect to {relay}: {why}")


def too_big(peer: str, size: int, limit: int) -> Trouble:
    """
    RFC 1870: no need to send what will be refused.
    """
    return Trouble(
        "5.3.4", f"message size {size} exceeds size limit {limit} of server {peer}"
    )


def no_smtputf8(peer: str) -> Trouble:
    """
    RFC 6531 section 3.2: not to be sent to a server without SMTPUTF8.
    """
    return Trouble(
        "5.6.7",
        f"SMTPUTF8 is required, but was not offered by host {peer}",
        elsewhere=True,
    )


def loops_back(nexthop: str, best: bool) -> Trouble:
    """
    The server is ourselves.

    @param best: it is the most preferred host for the destination.
    """
    return Trouble(
        "5.4.6" if best else "4.4.6", f"mail for {nexthop} loops back to myself"
    )


def no_tls(peer: str) -> Trouble:
    """
    The policy demands TLS, and there is none.
    """
    words = f"TLS is required, but was not offered by host {peer}"
    return Trouble("4.7.4", words)


def tls_refused(peer: str, reply: ServerReply) -> Trouble:
    """
    The policy demands TLS, which the server has offered, and now refuses.
    """
    text = reply.text
    words = f"TLS is required, but host {peer} refused to start TLS: {text}"
    return Trouble(reply.status if reply.code >= 400 else "4.5.0", words, text)


NO_HANDSHAKE = Trouble("4.7.5", "Cannot start TLS: handshake failure")
NOT_TRUSTED = Trouble("4.7.5", "Server certificate not trusted")
NOT_VERIFIED = Trouble("4.7.5", "Server certificate not verified")
BAD_SENDER = Trouble("5.1.7", "bad address syntax")
BAD_RECIPIENT = Trouble("5.1.3", "bad address syntax")
