"""Lines of Postfix's tables (postmap(1), aliases(5)): comments, continued lines, quoted targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_OCTETS = 64 * 1024 * 1024


class TooLarge(ValueError):
    """The file is larger than any table of addresses."""


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line.

    Attributes:
        where: File and number of its first physical line.
        text: Without what continues it, without blanks around.
    """

    where: str
    text: str


def read(path: Path) -> str:
    """Return a file's text; raise `TooLarge`, `OSError`."""
    if path.stat().st_size > MAX_OCTETS:
        raise TooLarge(f"{path} is larger than {MAX_OCTETS} octets")
    return path.read_text(encoding="utf-8", errors="replace")


def logical_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a table: what begins with blanks continues the line before."""
    number, text = 0, ""
    for at, raw in enumerate(read(path).splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0] in " \t" and text:
            text += " " + raw.strip()
            continue
        if text:
            yield Line(f"{path.name}:{number}", text)
        number, text = at, raw.strip()
    if text:
        yield Line(f"{path.name}:{number}", text)


def plain_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a control file of qmail: one each, ``#`` begins a comment."""
    for at, raw in enumerate(read(path).splitlines(), 1):
        if raw.strip() and not raw.startswith("#"):
            yield Line(f"{path.name}:{at}", raw.strip())


def targets_of(text: str) -> list[str]:
    """Return what stands between commas, quoted ones whole, without their quotes."""
    found, current, is_quoted = [], "", False
    for character in text:
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            found.append(current.strip())
            current = ""
            continue
        current += character
    found.append(current.strip())
    return [_bare(each) for each in found if each]


def _bare(text: str) -> str:
    """Take the quotes off what is quoted whole and is no quoted local part."""
    inner = text[1:-1]
    return inner if text.startswith('"') and text.endswith('"') and '"' not in inner else text
