"""
The parameters that no code of ours reads, from all topics.

Owns: which modules declare them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from txmta.config.later import Later
from txmta.config.parameters.access import Access, Verify
from txmta.config.parameters.daemons import Odds, Processes, Tables
from txmta.config.parameters.families import Families
from txmta.config.parameters.filters import Filters, Milters
from txmta.config.parameters.lmtp_tls import LmtpTls
from txmta.config.parameters.mapping import Addresses, Delivery
from txmta.config.parameters.postscreen import Postscreen, PostscreenTls
from txmta.config.parameters.sasl import SmtpdSasl
from txmta.config.parameters.smtp_tls import SmtpTls
from txmta.config.parameters.tls import SmtpdTls, Tls, TlsProxy

#: In the order of the reference page.
GROUPS: tuple[type, ...] = (
    Access,
    Verify,
    Filters,
    Milters,
    Addresses,
    Delivery,
    SmtpdTls,
    SmtpTls,
    LmtpTls,
    Tls,
    TlsProxy,
    SmtpdSasl,
    Postscreen,
    PostscreenTls,
    Processes,
    Tables,
    Odds,
    Families,
)


@lru_cache(maxsize=1)
def later() -> Mapping[str, Later]:
    """
    @return: the declarations, by name.
    """
    return {
        value.name: value
        for group in GROUPS
        for value in vars(group).values()
        if isinstance(value, Later)
    }
