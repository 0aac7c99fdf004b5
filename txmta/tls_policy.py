"""
Which protocols and ciphers of TLS are used, by Postfix's names.

Owns: what the values of *_tls_protocols, *_tls_ciphers, *_exclude_ciphers,
    tls_ssl_options and *_eecdh_grade mean, for servers and clients.
Knows nothing of: a TLS library, files, connections.

Sources: postconf(5), TLS_README; Postfix C{tls/tls_misc.c} (tls_proto_mask_lims,
tls_set_ciphers).

Errors: C{ValueError} that says what is wrong, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Versions by name, oldest first; the number is the one of the protocol.
VERSIONS: Mapping[str, int] = {
    "SSLv2": 0x0002,
    "SSLv3": 0x0300,
    "TLSv1": 0x0301,
    "TLSv1.1": 0x0302,
    "TLSv1.2": 0x0303,
    "TLSv1.3": 0x0304,
}

_NAMES = {name.lower(): name for name in VERSIONS}
_NAMES["tlsv1.0"] = "TLSv1"

#: Grades of ciphers by name, and the parameter that says what each means. The
#: two lowest are in no library any more, and mean medium, as in Postfix 3.8.
GRADES: Mapping[str, str] = {
    "high": "tls_high_cipherlist",
    "medium": "tls_medium_cipherlist",
    "low": "tls_medium_cipherlist",
    "export": "tls_medium_cipherlist",
    "null": "tls_null_cipherlist",
}

#: tls_ssl_options, by OpenSSL's bits.
OPTIONS: Mapping[str, int] = {
    "ENABLE_MIDDLEBOX_COMPAT": 1 << 20,
    "LEGACY_SERVER_CONNECT": 1 << 2,
    "NO_COMPRESSION": 1 << 17,
    "NO_RENEGOTIATION": 1 << 30,
    "NO_SESSION_RESUMPTION_ON_RENEGOTIATION": 1 << 16,
    "NO_TICKET": 1 << 14,
    "PRIORITIZE_CHACHA": 1 << 21,
    "CIPHER_SERVER_PREFERENCE": 1 << 22,
    "TLSEXT_PADDING": 1 << 4,
    "NO_ANTI_REPLAY": 1 << 24,
    "NO_EXTENDED_MASTER_SECRET": 1 << 0,
}

#: *_tls_eecdh_grade.
CURVE_GRADES = ("auto", "none", "strong", "ultra")


@dataclass(frozen=True, slots=True)
class Protocols:
    """
    @ivar low: number of the oldest version that may be used; 0: no limit.
    @ivar high: of the newest; 0: no limit.
    @ivar off: names of versions that may not be used all the same.
    """

    low: int = 0
    high: int = 0
    off: frozenset[str] = frozenset()

    @property
    def allowed(self) -> tuple[str, ...]:
        """
        Names of the versions that are left, oldest first.
        """
        return tuple(
            name
            for name, number in VERSIONS.items()
            if name not in self.off
            and number >= self.low
            and (not self.high or number <= self.high)
        )


def protocols(words: Sequence[str]) -> Protocols:
    """
    Read *_tls_protocols: C{>=TLSv1.2}, C{!TLSv1}, C{TLSv1.3}.

    @raise ValueError: a word is none of these, or nothing is left.
    """
    low = high = 0
    named: set[str] = set()
    off: set[str] = set()
    for word in (part for item in words for part in re.split("[:,]", item) if part):
        if word[:2] in (">=", "<="):
            number = _number(word[2:], word)
            if word[0] == ">":
                low = number
            else:
                high = number
        elif word[0] == "!":
            off.add(_name(word[1:], word))
        else:
            named.add(_name(word, word))
    if named:
        off |= VERSIONS.keys() - named
    found = Protocols(low, high, frozenset(off))
    if not any(VERSIONS[name] >= VERSIONS["TLSv1"] for name in found.allowed):
        raise ValueError(
            f'"{" ".join(words)}" leaves no version of TLS: say >=TLSv1.2, for example'
        )
    return found


def _name(text: str, word: str) -> str:
    name = _NAMES.get(text.strip().lower())
    if name is None:
        raise ValueError(
            f'"{word}": there is no such version of TLS: say one of '
            f"{', '.join(list(VERSIONS)[1:])}, after >=, <=, ! or nothing"
        )
    return name


def _number(text: str, word: str) -> int:
    text = text.strip()
    if not text or text == "0":
        return 0  # no limit
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,4}|[0-9]{1,5}", text):
        return int(text, 0)
    return VERSIONS[_name(text, word)]


def ciphers(grade: str, lists: Mapping[str, str], exclude: Iterable[str] = ()) -> str:
    """
    @param grade: of the least ciphers.
    @param lists: by the names of parameters in L{GRADES}.
    @param exclude: names of ciphers, or of properties, that are not used.
    @return: an OpenSSL cipher list, for versions up to TLS 1.2.
    @raise ValueError: there is no such grade, or an exclusion cannot be one.
    """
    parameter = GRADES.get(grade.strip().lower())
    if parameter is None:
        raise ValueError(
            f'"{grade}": there is no such grade of ciphers: say one of '
            f"{', '.join(GRADES)}"
        )
    found = [lists[parameter]]
    for word in exclude:
        for name in re.split("[:,]", word):
            if name[:1] in ("!", "+", "-", "@"):
                raise ValueError(
                    f'"{name}": an exclusion is the name alone: leave out the '
                    f"{name[:1]}"
                )
            if name:
                found.append(f"!{name}")
    return ":".join(found)


def options(words: Iterable[str]) -> int:
    """
    Read tls_ssl_options.

    @return: OpenSSL's bits.
    @raise ValueError: a word is neither a name nor hexadecimal.
    """
    bits = 0
    for word in words:
        if word.upper() in OPTIONS:
            bits |= OPTIONS[word.upper()]
        elif re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", word):
            bits |= int(word, 16)
        else:
            raise ValueError(
                f'"{word}": there is no such option: say some of {", ".join(OPTIONS)}, '
                "or OpenSSL's bits (0x...)"
            )
    return bits


def curves(grade: str, auto: Sequence[str], strong: str, ultra: str) -> Sequence[str]:
    """
    @param grade: *_tls_eecdh_grade.
    @param auto: tls_eecdh_auto_curves; C{strong}, C{ultra}: the other two.
    @return: names of curves, best first; none: as the library likes.
    @raise ValueError: there is no such grade.
    """
    word = grade.strip().lower()
    if word not in CURVE_GRADES:
        raise ValueError(f'"{grade}": say one of {", ".join(CURVE_GRADES)}')
    if word == "auto":
        return tuple(auto)
    return {"none": (), "strong": (strong,), "ultra": (ultra,)}[word]
