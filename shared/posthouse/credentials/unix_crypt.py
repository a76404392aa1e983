"""crypt(3) of the system's libcrypt: the hashes of /etc/shadow, computed beside the event loop.

Python's own ``crypt`` goes with 3.13 and keeps the interpreter's lock; ctypes lets go of it. The C
library of every Linux has `crypt_r`: glibc's systems as libxcrypt, musl in itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import cast

from posthouse.mail.errors import Unavailable

_NAMES = ("libcrypt.so.1", "libcrypt.so.2", None)  # Debian; Fedora; musl
_DATA_OCTETS = 256 * 1024  # struct crypt_data: 32 KiB in libxcrypt, 128 KiB in old glibc


def crypted(setting: str, password: str) -> str:
    """Return the hash of ``password`` with method and salt of ``setting``; empty if it has none.

    Raises `Unavailable` on a system without crypt_r: that is no wrong password.
    """
    data = ctypes.create_string_buffer(_DATA_OCTETS)
    found = _crypt_r()(password.encode(), setting.encode(), data)
    text = found.decode() if found else ""
    return "" if text.startswith("*") else text


@cache
def _crypt_r() -> Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None]:
    for name in _NAMES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
        return cast("Callable[[bytes, bytes, ctypes.Array[ctypes.c_char]], bytes | None]", function)
    raise Unavailable("Temporarily unavailable", detail="this system has no crypt_r")
