"""CRAM-MD5's keys (RFC 2195, RFC 2104): an HMAC-MD5 begun and not finished; pure.

Whoever has the password can make an HMAC of any challenge; to check one it is enough to keep the
two states that MD5 is in after the key. They are no password, but they log in like one: they are
stored only where the operator has CRAM-MD5 offered. The form is Dovecot's {CRAM-MD5}.
"""

from __future__ import annotations

import hashlib
import math
import struct
from hmac import compare_digest

_BLOCK = 64
_WORD = 0xFFFFFFFF
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)  # RFC 1321 §3.3
_SHIFTS = (7, 12, 17, 22) * 4 + (5, 9, 14, 20) * 4 + (4, 11, 16, 23) * 4 + (6, 10, 15, 21) * 4
_SINES = tuple(int(abs(math.sin(n + 1)) * 2**32) for n in range(_BLOCK))
_STATES_OCTETS = 32
_ROUND = 16  # steps

State = tuple[int, int, int, int]


def cram_keys(password: str) -> str:
    """Return what is to be stored of ``password``: the outer and the inner state, in hex."""
    key = password.encode()
    if len(key) > _BLOCK:
        key = hashlib.md5(key, usedforsecurity=False).digest()
    key = key.ljust(_BLOCK, b"\0")
    outer, inner = (_compress(_START, bytes(octet ^ pad for octet in key)) for pad in (0x5C, 0x36))
    return struct.pack("<8I", *outer, *inner).hex()


def fits(keys: str, challenge: bytes, digest: str) -> bool:
    """True if ``digest`` is the HMAC-MD5 of ``challenge`` in hex; `ValueError` if these are no keys."""
    octets = bytes.fromhex(keys)
    if len(octets) != _STATES_OCTETS:
        raise ValueError("not keys of CRAM-MD5")
    words = struct.unpack("<8I", octets)
    inner = _finish((words[4], words[5], words[6], words[7]), challenge)
    outer = _finish((words[0], words[1], words[2], words[3]), inner)
    return compare_digest(outer.hex().encode(), digest.encode())


def _finish(state: State, text: bytes) -> bytes:
    """Return the digest of a key's block and ``text`` (RFC 1321 §3.1, §3.2)."""
    zeros = -(len(text) + 9) % _BLOCK
    padded = text + b"\x80" + bytes(zeros) + struct.pack("<Q", (_BLOCK + len(text)) * 8)
    for at in range(0, len(padded), _BLOCK):
        state = _compress(state, padded[at : at + _BLOCK])
    return struct.pack("<4I", *state)


def _compress(state: State, block: bytes) -> State:
    """Take one block in (RFC 1321 §3.4)."""
    words = struct.unpack("<16I", block)
    a, b, c, d = state
    for step in range(_BLOCK):
        mixed, word = _mix(step, b, c, d)
        turned = (a + mixed + _SINES[step] + words[word]) & _WORD
        shift = _SHIFTS[step]
        a, d, c, b = d, c, b, (b + (turned << shift | turned >> (32 - shift))) & _WORD
    first, second, third, fourth = (
        (old + new) & _WORD for old, new in zip(state, (a, b, c, d), strict=True)
    )
    return first, second, third, fourth


def _mix(step: int, b: int, c: int, d: int) -> tuple[int, int]:
    """Return F, G, H or I, and which word comes in."""
    match step // _ROUND:
        case 0:
            return b & c | ~b & d, step
        case 1:
            return d & b | ~d & c, (5 * step + 1) % _ROUND
        case 2:
            return b ^ c ^ d, (3 * step + 5) % _ROUND
        case _:
            return c ^ (b | ~d & _WORD), 7 * step % _ROUND
