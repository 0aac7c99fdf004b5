"""
Whether the SMTP server has TLS.

Owns: what smtpd_tls_security_level and the older parameters say.
Knows nothing of: certificates, sessions.

Sources: postconf(5); Postfix C{smtpd/smtpd.c}.

Errors: none.
"""

from __future__ import annotations

from txmta.config.settings import Settings

LEVELS = ("none", "may", "encrypt")


def level(settings: Settings) -> str:
    """
    @return: what smtpd_tls_security_level means: one of L{LEVELS}.
    """
    word = settings.smtpd_tls_security_level.strip().lower()
    if settings.smtpd_tls_wrappermode:
        return "encrypt"
    if word:
        return word
    if settings.smtpd_enforce_tls:
        return "encrypt"
    return "may" if settings.smtpd_use_tls else "none"
