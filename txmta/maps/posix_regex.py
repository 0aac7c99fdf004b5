"""
POSIX expressions of the C library, by ctypes: leftmost, longest, as Postfix.

Owns: what the library is told, and the limits of a search.
Knows nothing of: rules, keys.

A search of the GNU C library takes time by the square of the length of the
text: it tries one place after the other, and no place takes more than one pass.
So a long text is searched some places at a time (C{re_search}), with a look at
the clock in between. That is not so with back-references, which can take for
ever: expressions with them are searched by PCRE2, which has limits.

Sources: regex(3), regex(7); glibc C{regexec.c}; Postfix: C{util/dict_regexp.c}.

Errors: L{BadExpression}; L{TooSlow}; C{OSError}: the C library is another one.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache

from txmta.maps.pattern_rules import BadExpression, Budget, Groups, TooSlow

EXTENDED, ICASE, NEWLINE, _NOSUB = 1, 2, 4, 8
_STARTEND = 4
_ESPACE = 12
_LC_ALL_MASK = 0x1FBF

#: Octets passed over between two looks at the clock: 5 ns each.
_PIECE = 1_000_000

#: Octets passed over, after which an expression is compiled anew: the library
#: remembers, and never forgets, what states it was in.
_MAX_REMEMBERED = 100_000

_pointer, _int = ctypes.c_void_p, ctypes.c_int


class _Buffer(ctypes.Structure):
    """
    C{regex_t} of the GNU C library.
    """

    _fields_ = (
        ("buffer", _pointer),
        ("allocated", ctypes.c_size_t),
        ("used", ctypes.c_size_t),
        ("syntax", ctypes.c_ulong),
        ("fastmap", _pointer),
        ("translate", _pointer),
        ("re_nsub", ctypes.c_size_t),
        ("bits", ctypes.c_uint),
        # More than there is, should a version of the library need it.
        ("spare", ctypes.c_char * 64),
    )


class _Place(ctypes.Structure):
    _fields_ = (("start", _int), ("end", _int))


@cache
def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(None)
    try:
        lib.gnu_get_libc_version  # noqa: B018
        lib.re_search.argtypes = [_pointer, ctypes.c_char_p, _int, _int, _int, _pointer]
        lib.regcomp.argtypes = [_pointer, ctypes.c_char_p, _int]
        lib.regexec.argtypes = [
            _pointer,
            ctypes.c_char_p,
            ctypes.c_size_t,
            _pointer,
            _int,
        ]
        lib.regerror.argtypes = [_int, _pointer, ctypes.c_char_p, ctypes.c_size_t]
        lib.regerror.restype = ctypes.c_size_t
        lib.regfree.argtypes = [_pointer]
        lib.regfree.restype = None
        lib.newlocale.argtypes = [_int, ctypes.c_char_p, _pointer]
        lib.uselocale.argtypes = [_pointer]
        lib.newlocale.restype = lib.uselocale.restype = _pointer
    except AttributeError as e:
        raise OSError("not the GNU C library") from e
    return lib


@cache
def _plain_locale() -> int:
    """
    @return: in which characters are octets, and messages are English, as in
        Postfix.
    """
    locale: int | None = _library().newlocale(_LC_ALL_MASK, b"C", None)
    if not locale:
        raise MemoryError
    return locale


class Expression:
    """
    @ivar groups: how many it has.
    """

    def __init__(self, pattern: bytes, flags: int, grouped: bool) -> None:
        """
        @raise BadExpression: in the library's words.
        """
        self._lib = _library()
        self._pattern = pattern
        self._flags = flags if grouped else flags | _NOSUB
        self._compile()
        self.groups = int(self._buffer.re_nsub)

    def _compile(self) -> None:
        lib = self._lib
        buffer = _Buffer()
        place = ctypes.byref(buffer)
        before = lib.uselocale(_plain_locale())
        try:
            error = lib.regcomp(place, self._pattern, self._flags)
            if error:
                text = ctypes.create_string_buffer(256)
                lib.regerror(error, place, text, len(text))
                raise BadExpression(text.value.decode("ascii", "replace"))
        finally:
            lib.uselocale(before)
        self._buffer = buffer
        self._place = place
        self._free = weakref.finalize(self, lib.regfree, place)
        self._passed = 0

    def search(self, key: bytes, budget: Budget) -> bool:
        return self._start(key, budget) >= 0

    def find(self, key: bytes, budget: Budget) -> Groups | None:
        start = self._start(key, budget)
        if start < 0:
            return None
        places = (_Place * (self.groups + 1))()
        places[0].start, places[0].end = start, len(key)
        error = self._lib.regexec(self._place, key, len(places), places, _STARTEND)
        if error == _ESPACE:
            raise TooSlow("takes too much memory")
        assert not error, "what matched does not match"
        return [None if p.start < 0 else key[p.start : p.end] for p in places[1:]]

    def _start(self, key: bytes, budget: Budget) -> int:
        """
        @return: where the match begins; -1: there is none.
        """
        size = len(key)
        width = _PIECE // (size + 1)
        start = 0
        while start <= size:
            more = min(width, size - start)
            self._passed += (more + 1) * (size - start + 1)
            if self._passed > _MAX_REMEMBERED:
                self._free()
                self._compile()
                self._passed = (more + 1) * (size - start + 1)
            found: int = self._lib.re_search(self._place, key, size, start, more, None)
            if found >= 0:
                return found
            if found < -1:
                raise TooSlow("takes too much memory")
            start += more + 1
            if start <= size:
                budget.check()
        return -1
