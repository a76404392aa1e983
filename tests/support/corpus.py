"""Letters of varied structure, as many as are wanted, the same ones at every run.

Lines end in CRLF everywhere: clients that keep files with LF give the same octets back then.
"""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Callable
from textwrap import fill

_WORDS = [
    "Hund",
    "Katze",
    "Maus",
    "Bär",
    "Straße",
    "Öl",
    "naïve",
    "Łódź",
    "Привет",
    "日本語",
    "mail",
    "queue",
    "cellar",
    "road",
]


def corpus(count: int, seed: int = 1) -> list[bytes]:
    """Return ``count`` letters, each with a Message-ID of its own."""
    chance = random.Random(seed)  # noqa: S311 - letters, not secrets
    return [_letter(number, chance) for number in range(count)]


def _letter(number: int, chance: random.Random) -> bytes:
    fields = [
        f"From: Somebody {number} <a{number}@elsewhere.test>",
        "To: undisclosed-recipients:;" if number % 7 == 0 else "To: <anna@example.test>, b@c.test",
        f"Subject: {chance.choice(_SUBJECTS)} {number}",
        f"Message-ID: <{number}.{chance.getrandbits(40):x}@elsewhere.test>",
        f"Date: Mon, {1 + number % 28:02d} Jan 2024 10:{number % 60:02d}:00 +0100",
    ]
    body = _BODIES[number % len(_BODIES)](chance)
    text = "\n".join(fields).encode() + b"\n" + body
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


_SUBJECTS = (
    "plain", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "folded\n over\n\tthree lines", '"quoted\\" (and) more',
    "x" * 300, "=?iso-8859-1?b?5Pb8?= and =?utf-8?b?8J+Yig==?=",
)  # fmt: skip


def _prose(chance: random.Random, words: int) -> str:
    return fill(" ".join(chance.choices(_WORDS, k=words)), 70) + "\n"


def _plain(chance: random.Random) -> bytes:
    text = _prose(chance, chance.randrange(400))
    return (
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        + text.encode()
    )


def _odd_lines(chance: random.Random) -> bytes:
    lines = [".", "..", ".x", "From here", ">From there", "", " ", "\t", "x" * 900, "--", "a " * 30]
    chance.shuffle(lines)
    return "\n".join(["", *lines, "end", ""]).encode()


def _quoted(chance: random.Random) -> bytes:
    text = quopri.encodestring(_prose(chance, 100).encode("utf-8"))
    return (
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        + text
    )


def _empty(_chance: random.Random) -> bytes:
    return b"\n"


def _mixed(chance: random.Random) -> bytes:
    octets = base64.encodebytes(chance.randbytes(chance.randrange(20_000)))
    return (
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n\npreamble\n--outer\n"
        b'Content-Type: multipart/alternative; boundary="in ner"\n\n--in ner\n'
        + _plain(chance)
        + b"\n--in ner\nContent-Type: text/html; charset=us-ascii\n\n<p>x</p>\n--in ner--\n--outer\n"
        b"Content-Type: image/png; name*=utf-8''B%C3%A4r.png\nContent-Transfer-Encoding: base64\n"
        b'Content-Disposition: attachment; filename="B.png"\n\n' + octets + b"--outer--\nepilogue\n"
    )


def _forwarded(chance: random.Random) -> bytes:
    inner = _letter(chance.randrange(10**9) * len(_BODIES), chance).replace(b"\r\n", b"\n")
    return (
        b"Content-Type: multipart/digest; boundary=d\n\n--d\n\n" + inner + b"\n--d\n\n" + inner +
        b"\n--d--\n"
    )  # fmt: skip


def _many_fields(chance: random.Random) -> bytes:
    fields = "".join(f"X-Trace-{n}: {chance.getrandbits(200):x}\n" for n in range(200))
    return fields.encode() + b"\n" + _prose(chance, 20).encode("ascii", "replace")


def _broken(chance: random.Random) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=never\n\n--other\nno part at all\n--never\n"
        b"Content-Type: nonsense\n\n" + _prose(chance, 30).encode("latin-1", "replace")
    )


_BODIES: tuple[Callable[[random.Random], bytes], ...] = (
    _plain, _odd_lines, _quoted, _mixed, _empty, _forwarded, _many_fields, _broken,
)  # fmt: skip
