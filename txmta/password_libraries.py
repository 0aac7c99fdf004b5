"""
Password hashes that a library makes: crypt(3), and Argon2.

Owns: finding the libraries, and saying what is missing.
Knows nothing of: schemes (L{txmta.passwords}).

Sources: crypt(3), crypt(5); RFC 9106.

Errors: L{NeedsLibrary}; C{ValueError} for a hash that is malformed.
"""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import hmac
import os
import re
from typing import Any

#: Octets that a hash may ask for.
MAX_MEMORY = 256 * 1024 * 1024


class BadHash(Exception):
    """
    What is kept in place of a password cannot be understood.
    """


class NeedsLibrary(BadHash):
    """
    A scheme needs a library.
    """


# Octets of struct crypt_data, of libxcrypt and of glibc before it.
_CRYPT_DATA = 131232


def _crypt(setting: bytes, password: bytes) -> bytes:
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    try:
        crypt_r = ctypes.CDLL(name).crypt_r
    except (OSError, AttributeError):
        raise NeedsLibrary("{CRYPT} needs libcrypt: install libcrypt1") from None
    crypt_r.restype = ctypes.c_char_p
    crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    data = ctypes.create_string_buffer(_CRYPT_DATA)
    made: bytes | None = crypt_r(password, setting, data)
    if not made or made.startswith(b"*"):
        raise ValueError("no setting that crypt(3) knows")
    return made


def check_crypt(text: str, password: bytes) -> bool:
    if b"\0" in password:
        return False
    setting = text.encode()
    if len(setting) < 13:
        raise ValueError("too short")  # such as * and !, of locked accounts
    return hmac.compare_digest(_crypt(setting, password), setting)


def make_crypt(password: bytes) -> str:
    salt = base64.b64encode(os.urandom(12)).decode().replace("+", ".")
    return _crypt(f"$6${salt}$".encode(), password).decode()


def _argon2() -> Any:
    try:
        import argon2
    except ImportError:
        raise NeedsLibrary(
            "{ARGON2ID} needs argon2-cffi: pip install 'txmta[passwords]'"
        ) from None
    return argon2


def check_argon2(text: str, password: bytes) -> bool:
    argon2 = _argon2()
    match = re.search(r"m=(\d{1,9})", text)
    if match is None or int(match[1]) * 1024 > MAX_MEMORY:
        raise ValueError("out of bounds")
    try:
        return bool(argon2.PasswordHasher().verify(text, password))
    except argon2.exceptions.VerifyMismatchError:
        return False
    except argon2.exceptions.Argon2Error as e:
        raise ValueError(str(e)) from None


def make_argon2(password: bytes) -> str:
    argon2 = _argon2()
    return str(argon2.PasswordHasher().hash(password))
