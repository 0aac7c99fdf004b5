"""
Expressions of the PCRE2 library, by ctypes: Postfix's own, with its words.

Owns: what the library is told, and the limits of a search.
Knows nothing of: rules, keys.

The library bounds what is tried from one place of the text, not from all. So
a search that is not over quickly goes on a few places at a time, with a look
at the clock in between.

Sources: pcre2api(3), pcre2limit(3); Postfix: C{util/dict_pcre.c}.

Errors: L{BadExpression}; L{TooSlow}; C{OSError}: the library is not there.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import cache

from txmta.maps.pattern_rules import BadExpression, Budget, Groups, TooSlow

LIBRARY = "libpcre2-8.so.0"

DOLLAR_ENDONLY, CASELESS, DOTALL = 0x10, 0x8, 0x20
EXTENDED, MULTILINE, UNGREEDY = 0x80, 0x400, 0x40000
ANCHORED = 0x80000000
_USE_OFFSET_LIMIT, _NEVER_BACKSLASH_C = 0x800000, 0x100000
_UTF = 0x80000

_NOMATCH = -1

#: The key is no UTF-8, which an expression with C{(*UTF)} asks for.
_NO_UTF = range(-23, -2)

_ALLOPTIONS, _CAPTURECOUNT = 0, 4

#: Steps of a search from one place: first, when it has to be quick; then, when
#: the clock is looked at. A step takes some 20 ns. Postfix allows 10,000,000,
#: from each place, for each rule.
_QUICK_STEPS = 10_000
_STEPS = 1_000_000

#: Octets of a key that is searched at once. This many places with that many
#: steps are 50 ms at worst.
_QUICK_SIZE = 256

#: KiB of memory for one search.
_HEAP = 20_000

_size, _pointer = ctypes.c_size_t, ctypes.c_void_p


@cache
def library() -> ctypes.CDLL:
    """
    @raise OSError: it is not installed.
    """
    lib = ctypes.CDLL(LIBRARY)
    for name, result, arguments in (
        (
            "compile",
            _pointer,
            [ctypes.c_char_p, _size, ctypes.c_uint32, _pointer, _pointer, _pointer],
        ),
        ("code_free", None, [_pointer]),
        ("pattern_info", ctypes.c_int, [_pointer, ctypes.c_uint32, _pointer]),
        ("match_context_create", _pointer, [_pointer]),
        ("set_match_limit", ctypes.c_int, [_pointer, ctypes.c_uint32]),
        ("set_heap_limit", ctypes.c_int, [_pointer, ctypes.c_uint32]),
        ("set_offset_limit", ctypes.c_int, [_pointer, _size]),
        ("match_data_create", _pointer, [ctypes.c_uint32, _pointer]),
        ("match_data_free", None, [_pointer]),
        ("get_ovector_pointer", ctypes.POINTER(_size), [_pointer]),
        (
            "match",
            ctypes.c_int,
            [
                _pointer,
                ctypes.c_char_p,
                _size,
                _size,
                ctypes.c_uint32,
                _pointer,
                _pointer,
            ],
        ),
        ("get_error_message", ctypes.c_int, [ctypes.c_int, ctypes.c_char_p, _size]),
    ):
        function = getattr(lib, f"pcre2_{name}_8")
        function.restype, function.argtypes = result, arguments
    return lib


@cache
def _contexts() -> tuple[int, int]:
    """
    @return: limits of a quick search, and of a patient one; for all
        expressions, for nothing runs beside a search.
    """
    lib = library()
    quick = lib.pcre2_match_context_create_8(None)
    patient = lib.pcre2_match_context_create_8(None)
    if not quick or not patient:
        raise MemoryError
    for context in (quick, patient):
        lib.pcre2_set_match_limit_8(context, _QUICK_STEPS)
        lib.pcre2_set_heap_limit_8(context, _HEAP)
    return quick, patient


class Expression:
    """
    @ivar groups: how many it has.
    """

    def __init__(self, pattern: bytes, options: int) -> None:
        """
        @raise BadExpression: in the library's words, with the offset.
        """
        lib = library()
        error, offset = ctypes.c_int(), _size()
        code = lib.pcre2_compile_8(
            pattern,
            len(pattern),
            options | _USE_OFFSET_LIMIT | _NEVER_BACKSLASH_C,
            ctypes.byref(error),
            ctypes.byref(offset),
            None,
        )
        if not code:
            raise BadExpression(
                f"error in regex at offset {offset.value}: {_message(error.value)}"
            )
        weakref.finalize(self, lib.pcre2_code_free_8, code)
        number = ctypes.c_uint32()
        lib.pcre2_pattern_info_8(code, _CAPTURECOUNT, ctypes.byref(number))
        self.groups = number.value
        lib.pcre2_pattern_info_8(code, _ALLOPTIONS, ctypes.byref(number))
        # What depends on where a search begins cannot be cut into pieces.
        self._whole = bool(number.value & (ANCHORED | _UTF)) or b"\\G" in pattern
        self._data = lib.pcre2_match_data_create_8(self.groups + 1, None)
        if not self._data:
            raise MemoryError
        weakref.finalize(self, lib.pcre2_match_data_free_8, self._data)
        self._code = code
        self._places = lib.pcre2_get_ovector_pointer_8(self._data)
        self._match = lib.pcre2_match_8
        self._quick, self._limits = _contexts()

    def search(self, key: bytes, budget: Budget) -> bool:
        size = len(key)
        if size <= _QUICK_SIZE:
            found: int = self._match(
                self._code,
                key,
                size,
                0,
                0,
                self._data,
                self._quick,
            )
            if found >= 0:
                return True
            if found == _NOMATCH or found in _NO_UTF:
                return False
        return self._patient(key, budget)

    def find(self, key: bytes, budget: Budget) -> Groups | None:
        if not self.search(key, budget):
            return None
        places = self._places[: 2 * (self.groups + 1)]
        unset = ctypes.c_size_t(-1).value
        return [
            None if places[n] == unset else key[places[n] : places[n + 1]]
            for n in range(2, len(places), 2)
        ]

    def _patient(self, key: bytes, budget: Budget) -> bool:
        size, start, width = len(key), 0, _QUICK_SIZE
        while start <= size:
            end = size if self._whole else min(size, start + width - 1)
            found = self._piece(key, start, end, _QUICK_STEPS)
            if found < _NOMATCH and width > 1 and not self._whole:
                width = 1
                continue
            if found < _NOMATCH:
                found = self._piece(key, start, end, _STEPS)
            if found >= 0:
                return True
            if found in _NO_UTF:
                return False
            if found != _NOMATCH:
                raise TooSlow(_message(found))
            budget.check()
            start = end + 1
        return False

    def _piece(self, key: bytes, start: int, end: int, steps: int) -> int:
        """
        Search from the places C{start} to C{end}.
        """
        lib, limits = library(), self._limits
        lib.pcre2_set_offset_limit_8(limits, end)
        lib.pcre2_set_match_limit_8(limits, steps)
        found: int = self._match(
            self._code, key, len(key), start, 0, self._data, limits
        )
        return found


def _message(number: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    library().pcre2_get_error_message_8(number, buffer, len(buffer))
    return buffer.value.decode("ascii", "replace")
