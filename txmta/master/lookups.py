"""
Questions to tables that another process has open.

The one who asks says C{ask}; the other answers each C{found}, with a value or
with null for "not found", or C{unavailable} for "cannot say". What is not
answered is never "not found".

Owns: these records; how many questions may be open.
Knows nothing of: who asks (L{txmta.master.asker}) and who answers
    (L{txmta.master.answerer}).

Sources: Postfix's C{global/dict_proxy.c}.
"""

from __future__ import annotations

import re

from txmta.master.records import Number, OrNull, Schema, Text

#: Questions of one process that are open at a time.
MOST = 1000

#: Characters of the name of a table, of a key, of a value, of a reason. Each
#: may be twelve octets on the way.
MAX_NAME, MAX_KEY, MAX_VALUE, MAX_REASON = 2000, 8000, 80_000, 500

_N = Number(0, (1 << 53) - 1)

ASK = Schema({"n": _N, "table": Text(MAX_NAME, 1), "key": Text(MAX_KEY)})
FOUND = Schema({"n": _N, "value": OrNull(Text(MAX_VALUE))})
UNAVAILABLE = Schema({"n": _N, "reason": Text(MAX_REASON, line=True)})

#: Half characters that do not stand for an octet: no frame may have them.
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
