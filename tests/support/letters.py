"""Letters for tests: small ones made here, and the odd ones of CPython's own email tests."""

import secrets
from importlib.util import find_spec
from pathlib import Path


def letter(subject: str, sender: str = "a@elsewhere.test", body: str = "Hello.\n") -> bytes:
    """Return a small message with CRLF line ends and a Message-ID of its own."""
    text = (
        f"From: {sender}\n"
        f"Subject: {subject}\n"
        f"Message-ID: <{secrets.token_hex(8)}@elsewhere.test>\n"
        f"\n{body}"
    )
    return text.replace("\n", "\r\n").encode()


def cpython_letters() -> list[Path]:
    """Return the messages of CPython's email tests: MIME of every shape, broken ones included."""
    package = find_spec("test.test_email")
    assert package is not None, "this Python comes without its tests (libpython3-testsuite)"
    assert package.origin is not None
    return sorted((Path(package.origin).parent / "data").glob("msg_*.txt"))


def on_the_wire(octets: bytes) -> bytes:
    """Return a text file's octets as SMTP carries them: every line ends in CRLF (RFC 5321 §2.3.8)."""
    lines = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    whole = lines if lines.endswith(b"\n") else lines + b"\n"
    return whole.replace(b"\n", b"\r\n")


def below_added_fields(stored: bytes, original: bytes) -> bytes:
    """Return what stands below the fields that a server added on top of ``original``."""
    return stored[-len(original) :]
