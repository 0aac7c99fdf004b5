"""
Text below each refusal (smtpd_reject_footer).

Owns: what the template means.
Knows nothing of: when something is refused.

Sources: Postfix C{global/smtp_reply_footer.c}, C{smtpd/smtpd_expand.c};
postconf(5).

Errors: C{ValueError} for a template that cannot be understood.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from txmta.config.expansion import expand
from txmta.config.settings import Settings
from txmta.model import Reply
from txmta.smtp.session import Session

_UNPRINTABLE = re.compile(r"[^\t -~]")

#: Octets of what may be added.
MAX_FOOTER = 2000


class Footer:
    """
    A template, for all refusals of a server.
    """

    def __init__(
        self, template: str, server: str, now: Callable[[], float] = time.time
    ) -> None:
        """
        @param server: myhostname.
        @param now: wall time.
        @raise ValueError: the template cannot be understood.
        """
        self._same_line = template.startswith("\\c")
        self._template = template[2:] if self._same_line else template
        self._server = server
        self._now = now
        expand(self._template, lambda name: "")

    @classmethod
    def of(cls, settings: Settings) -> Footer | None:
        """
        @return: L{None}: there is none, or L{problem} has something.
        """
        template = settings.smtpd_reject_footer
        if not template or problem(settings):
            return None
        return cls(template, settings.myhostname)

    def below(self, reply: Reply, session: Session) -> Reply:
        """
        @param reply: a refusal.
        @return: the same with the text.
        """
        values = self._values(session)
        text = expand(
            self._template,
            lambda name: _UNPRINTABLE.sub("_", values.get(name, "")),
        )
        text = text[:MAX_FOOTER].replace("\\n", "\n").rstrip("\n")
        between = "" if self._same_line else "\n"
        return Reply(reply.code, reply.status, reply.text + between + text, reply.close)

    def _values(self, session: Session) -> dict[str, str]:
        client = session.client
        now = time.localtime(self._now())
        return {
            "client": client.label,
            "client_address": client.address,
            "client_name": client.name,
            "client_port": str(client.port),
            "helo_name": session.helo,
            "localtime": time.strftime("%b %d %H:%M:%S", now),
            "server_address": session.server_address,
            "server_name": self._server,
            "server_port": str(session.server_port),
        }


def problem(settings: Settings) -> str:
    """
    @return: why a server with this template must not start, or C{""}.
    """
    try:
        Footer(settings.smtpd_reject_footer, "")
    except ValueError as e:
        return f"smtpd_reject_footer: {e}"
    return ""
