"""
The levels of TLS that mail can need on its way out.

Owns: their names, their order, what each demands.
Knows nothing of: anything else.

Sources: postconf(5) (smtp_tls_security_level); Postfix C{tls/tls_level.c}.

Errors: none.
"""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """
    In the order of what they demand, as Postfix compares them.
    """

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    FINGERPRINT = 3
    HALF_DANE = 4  # of a host with TLSA records that an unsigned MX record names
    DANE = 5
    DANE_ONLY = 6
    VERIFY = 7
    SECURE = 8

    @property
    def word(self) -> str:
        """
        As main.cf has it.
        """
        return self.name.lower().replace("_", "-")

    @property
    def required(self) -> bool:
        """
        Nothing is said in clear text.
        """
        return self >= Level.ENCRYPT

    @property
    def by_authority(self) -> bool:
        """
        Authorities that we trust vouch for the certificate.
        """
        return self >= Level.VERIFY

    @property
    def matched(self) -> bool:
        """
        The certificate must be the one of the server.
        """
        return self >= Level.FINGERPRINT

    @property
    def dane(self) -> bool:
        """
        Certificates are looked for in DNS.
        """
        return self in (Level.DANE, Level.DANE_ONLY)


#: What may be written.
LEVELS = {level.word: level for level in Level if level is not Level.HALF_DANE}
