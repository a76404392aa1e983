"""``tls-exporter``: what binds a channel under TLS 1.3 (RFC 9266), out of OpenSSL.

Python's ssl hands it out in no version yet. The handle of the session lies in the object that ssl
gives us, in front of the pointer to its context; only if that pointer is found where it must be is
the handle used. On a Python that is built otherwise there is no ``tls-exporter``, and so
SCRAM-SHA-256-PLUS is not offered under TLS 1.3.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

_LABEL = b"EXPORTER-Channel-Binding"  # RFC 9266 §4
_OCTETS = 32
_WORD = ctypes.sizeof(ctypes.c_void_p)
_HANDLE_AT = object.__basicsize__ + _WORD  # behind the object's head and its weak reference
_CONTEXT_AT = _HANDLE_AT + _WORD

_Export: TypeAlias = Callable[..., int]


def exported(session: ssl.SSLObject) -> bytes | None:
    """Return the 32 octets of a TLS 1.3 session, None if they cannot be had here.

    Under TLS 1.2 they would be of no use: ``tls-unique`` is what clients expect there.
    """
    export = _openssl()
    if export is None or session.version() != "TLSv1.3":
        return None
    inner: Any = session._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - see above
    if type(inner).__basicsize__ < _CONTEXT_AT + _WORD:
        return None
    if ctypes.c_void_p.from_address(id(inner) + _CONTEXT_AT).value != id(session.context):
        return None
    handle = ctypes.c_void_p.from_address(id(inner) + _HANDLE_AT)
    octets = ctypes.create_string_buffer(_OCTETS)
    done = export(handle, octets, _OCTETS, _LABEL, len(_LABEL), b"", 0, 1)
    return octets.raw if done == 1 else None


@cache
def _openssl() -> _Export | None:
    """Return the function of the very library that Python's ssl uses."""
    try:
        export = ctypes.CDLL(_ssl.__file__).SSL_export_keying_material
    except (AttributeError, OSError):  # built into the interpreter, or another library than OpenSSL
        return None
    size, text = ctypes.c_size_t, ctypes.c_char_p
    export.restype = ctypes.c_int
    export.argtypes = (ctypes.c_void_p, text, size, text, size, text, size, ctypes.c_int)
    return export
