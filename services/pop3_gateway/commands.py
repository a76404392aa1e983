"""The commands of POP3 as values (RFC 1939 §5-§7, RFC 2449, RFC 2595 §4, RFC 5034, RFC 6856). Pure.

Keywords are in any case, arguments are divided by single spaces; PASS takes the rest of its line,
for a password may hold spaces (RFC 1939 §7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_NUMBER_DIGITS = 10


class BadSyntax(Exception):
    """Not a command; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Capa:
    """RFC 2449 §5."""


@dataclass(frozen=True, slots=True)
class Stls:
    """RFC 2595 §4."""


@dataclass(frozen=True, slots=True)
class User:
    """RFC 1939 §7."""

    name: str


@dataclass(frozen=True, slots=True)
class Pass:
    """RFC 1939 §7."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Auth:
    """RFC 5034 §4.

    Attributes:
        mechanism: Empty asks for the list of mechanisms.
        initial: The initial response in base64, None if there is none.
    """

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Utf8:
    """RFC 6856 §2.1."""


@dataclass(frozen=True, slots=True)
class Lang:
    """RFC 6856 §3.2: a language range; None asks for the list of languages."""

    wanted: str | None


@dataclass(frozen=True, slots=True)
class Stat:
    """RFC 1939 §5."""


@dataclass(frozen=True, slots=True)
class List:
    """RFC 1939 §5; None for all messages."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Uidl:
    """RFC 1939 §7; None for all messages."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Retr:
    """RFC 1939 §5."""

    number: int


@dataclass(frozen=True, slots=True)
class Top:
    """RFC 1939 §7: the header and so many lines of the body."""

    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Dele:
    """RFC 1939 §5."""

    number: int


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 1939 §5."""


@dataclass(frozen=True, slots=True)
class Rset:
    """RFC 1939 §5."""


@dataclass(frozen=True, slots=True)
class Quit:
    """RFC 1939 §4, §6."""


Command: TypeAlias = (
    Capa | Stls | User | Pass | Auth | Utf8 | Lang
    | Stat | List | Uidl | Retr | Top | Dele | Noop | Rset | Quit
)  # fmt: skip


def parse(line: bytes) -> Command:
    """Read one line without its end; raise `BadSyntax`."""
    keyword, space, rest = line.partition(b" ")
    reader = _READERS.get(keyword.upper())
    if reader is None:
        raise BadSyntax("Unknown command")
    if b"\0" in rest:
        raise BadSyntax("NUL is not allowed")
    return reader(rest if space else None)


def _alone(
    command: type[Capa | Stls | Utf8 | Stat | Noop | Rset | Quit],
) -> Callable[[bytes | None], Command]:
    def read(rest: bytes | None) -> Command:
        if rest is not None and rest.strip(b" "):
            raise BadSyntax("No argument expected")
        return command()

    return read


def _user(rest: bytes | None) -> Command:
    name = _text(rest).strip(" ")
    if not name:
        raise BadSyntax("A name is missing")
    return User(name)


def _pass(rest: bytes | None) -> Command:
    return Pass(_text(rest))


def _auth(rest: bytes | None) -> Command:
    words = (rest or b"").split()
    if len(words) > 2:  # noqa: PLR2004 - mechanism and initial response
        raise BadSyntax("Too many arguments")
    mechanism = words[0].decode("ascii", "replace") if words else ""
    return Auth(mechanism, words[1] if len(words) > 1 else None)


def _lang(rest: bytes | None) -> Command:
    words = (rest or b"").split()
    if len(words) > 1:
        raise BadSyntax("Too many arguments")
    return Lang(words[0].decode("ascii", "replace") if words else None)


def _list(rest: bytes | None) -> Command:
    return List(*_numbers(rest, 1) if rest and rest.strip() else (None,))


def _uidl(rest: bytes | None) -> Command:
    return Uidl(*_numbers(rest, 1) if rest and rest.strip() else (None,))


def _retr(rest: bytes | None) -> Command:
    return Retr(*_numbers(rest, 1))


def _dele(rest: bytes | None) -> Command:
    return Dele(*_numbers(rest, 1))


def _top(rest: bytes | None) -> Command:
    return Top(*_numbers(rest, 2))


def _numbers(rest: bytes | None, count: int) -> list[int]:
    words = (rest or b"").split()
    if len(words) != count:
        raise BadSyntax("One number expected" if count == 1 else "Two numbers expected")
    if not all(word.isdigit() and len(word) <= MAX_NUMBER_DIGITS for word in words):
        raise BadSyntax("Not a number")
    return [int(word) for word in words]


def _text(rest: bytes | None) -> str:
    if rest is None:
        raise BadSyntax("An argument is missing")
    try:
        return rest.decode()
    except UnicodeDecodeError:
        raise BadSyntax("Not UTF-8") from None


_READERS: dict[bytes, Callable[[bytes | None], Command]] = {
    b"CAPA": _alone(Capa),
    b"STLS": _alone(Stls),
    b"USER": _user,
    b"PASS": _pass,
    b"AUTH": _auth,
    b"UTF8": _alone(Utf8),
    b"LANG": _lang,
    b"STAT": _alone(Stat),
    b"LIST": _list,
    b"UIDL": _uidl,
    b"RETR": _retr,
    b"TOP": _top,
    b"DELE": _dele,
    b"NOOP": _alone(Noop),
    b"RSET": _alone(Rset),
    b"QUIT": _alone(Quit),
}
