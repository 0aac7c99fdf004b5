"""
When mail goes in clear text after TLS has failed.

Owns: that rule.
Knows nothing of: what failed.

Sources: Postfix C{smtp/smtp.h} (PLAINTEXT_FALLBACK_OK_AFTER_STARTTLS_FAILURE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from txmta.smtp.client_tls_level import Level
from txmta.smtp.client_tls_policy import Policy


@dataclass(frozen=True)
class Ages:
    """
    @ivar now: wall time.
    @ivar least: seconds; minimal_backoff_time.
    """

    now: Callable[[], float]
    least: float = 300

    def plain_after(self, policy: Policy, arrival: float) -> bool:
        """
        @param arrival: of the message, wall time.
        @return: whether clear text will do now. At the first attempt it will not:
            whoever disturbs one connection would have got the message.
        """
        return policy.level is Level.MAY and self.now() - arrival >= self.least
