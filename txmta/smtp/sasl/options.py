"""
Which mechanisms are offered.

Owns: smtpd_sasl_security_options and its like.
Knows nothing of: where mechanisms come from.

Sources: Postfix's postconf(5) (smtpd_sasl_security_options).

Errors: C{ValueError} for an option that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from txmta.smtp.sasl.moves import Mechanism

#: What an option rules out, by the property that a mechanism has.
_WITHOUT = {
    "noplaintext": "plaintext",
    "noactive": "active",
    "nodictionary": "dictionary",
    "noanonymous": "anonymous",
}

#: What an option asks for.
_WITH = {"forward_secrecy": "forward-secrecy", "mutual_auth": "mutual-auth"}


class SecurityOptions:
    """
    The value of such a parameter.
    """

    def __init__(self, words: Iterable[str]) -> None:
        """
        @raise ValueError: one is unknown.
        """
        options = [word.lower() for word in words]
        unknown = [word for word in options if word not in (*_WITHOUT, *_WITH)]
        if unknown:
            known = ", ".join([*_WITHOUT, *_WITH])
            raise ValueError(f"{unknown[0]}: unknown: write some of {known}")
        self._without = {_WITHOUT[word] for word in options if word in _WITHOUT}
        self._with = {_WITH[word] for word in options if word in _WITH}

    def admits(self, mechanism: Mechanism) -> bool:
        return (
            not self._without & mechanism.properties
            and self._with <= mechanism.properties
        )


def names(mechanisms: Sequence[Mechanism], options: SecurityOptions) -> list[str]:
    """
    @return: those that these options admit.
    """
    return [each.name for each in mechanisms if options.admits(each)]
