"""Signed letters of every shape, for verifiers at the other end; dkimpy signs (RFC 6376)."""

from __future__ import annotations

import base64
from functools import cache

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from delivery_remote.octets import PIECE_OCTETS
from support.letters import cpython_letters, on_the_wire

_MADE = (
    b"",
    b"\r\n\r\n\r\n",
    b".\r\n..\r\n...\r\n.dot\r\nno.dot\r\n",
    b"no end of line",
    b"a dot at the end\r\n.",
    b"x" * 998 + b"\r\n",
    b"x" * 20_000 + b"\r\n.\r\n",
    b"trailing space \r\n\t\r\n \r\n\r\n",
    "Grüße aus München\r\n".encode() * 100,
    bytes(n for n in range(1, 256) if n not in (10, 13)) + b"\r\n",
    b"." * (PIECE_OCTETS - 100) + b"\r\n.\r\n" * 200,
    b"\r\n." * (PIECE_OCTETS // 2),
)


def signed_letters() -> list[bytes]:
    """Return letters, each with a signature that is valid."""
    letters = [on_the_wire(path.read_bytes()) for path in cpython_letters()]
    made = [b"From: anna@a.test\r\nSubject: made\r\n\r\n" + body for body in _MADE]
    kept = [signed(octets, b"simple") for octets in filter(_can_be_signed, letters)]
    return kept + [signed(octets, form) for octets in made for form in (b"simple", b"relaxed")]


def signed(octets: bytes, form: bytes) -> bytes:
    """Return ``octets`` with a signature on top; ``form`` is the canonicalization of both parts."""
    return bytes(dkim.sign(octets, b"s", b"a.test", _key()[0], canonicalize=(form, form))) + octets


def is_valid(octets: bytes) -> bool:
    """True if the topmost signature in ``octets`` is one of `signed`, for these octets."""
    return bool(dkim.verify(octets, dnsfunc=_record))


@cache
def _key() -> tuple[bytes, bytes]:
    """Return a private key in PEM, and the TXT record of its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def _record(_name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001 - the verifier names it
    return _key()[1]


def _can_be_signed(octets: bytes) -> bool:
    """True if it has an author, and a header that is one: not all letters of CPython's do."""
    try:
        fields, _ = dkim.rfc822_parse(octets)
    except dkim.MessageFormatError:
        return False
    return any(name.lower() == b"from" for name, _ in fields)


def broken_signatures(octets: bytes, records: dict[str, str]) -> list[int]:
    """Return the numbers of those signatures of ``octets`` that do not hold, by dkimpy.

    ``records`` are the published keys by their names; fewer signatures than keys is a failure, too.
    """
    reader = dkim.DKIM(octets)
    return [
        n
        for n in range(len(records))
        if not reader.verify(idx=n, dnsfunc=lambda name, **_: records[name.decode().rstrip(".")])
    ]
