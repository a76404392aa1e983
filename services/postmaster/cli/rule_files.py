"""Files of rules, as they are sent to the API: those that are named, those of directories, what they include."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from posthouse.rules.reading import decoded
from postmaster.cli.failure import Failure

ENDING = "*.cf"
MAX_FILES = 1_000

Told: TypeAlias = dict[str, str]


def rule_files(named: Sequence[Path]) -> dict[str, list[Told]]:
    """Return the files in the order in which they are read, and those that they include."""
    paths = [path for each in named for path in _files(each)]
    texts = {path: decoded(octets_of(path)) for path in paths}
    found = {path: _told(path, text) for path, text in texts.items()}
    included = dict[Path, Told]()
    todo = list(texts.items())
    while todo:
        path, text = todo.pop()
        for other in _included(path, text):
            if other not in found and other not in included and other.is_file():
                if len(included) >= MAX_FILES:
                    raise Failure(f"More than {MAX_FILES} files are included.")
                its = decoded(octets_of(other))
                included[other] = _told(other, its)
                todo.append((other, its))
    return {"files": list(found.values()), "included": list(included.values())}


def octets_of(file: Path) -> bytes:
    """Return what is in ``file``; raise `Failure`."""
    try:
        return file.read_bytes()
    except OSError as fault:
        raise Failure(f"{file} cannot be read ({fault.strerror}).") from fault


def _files(named: Path) -> Sequence[Path]:
    if not named.is_dir():
        return [named]
    found = sorted(named.glob(ENDING))
    if not found:
        raise Failure(f"{named} holds no {ENDING}.")
    return found


def _included(path: Path, text: str) -> Iterator[Path]:
    """Yield the files that ``text`` includes, relative to where it stands (Mail::SpamAssassin::Conf)."""
    for line in text.split("\n"):
        words = line.split("#")[0].split(None, 1)
        if len(words) > 1 and words[0] == "include":
            yield path.parent / words[1].strip()


def _told(path: Path, text: str) -> Told:
    """Return a file by its name; what it includes is named as it is told itself."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        for other in _included(path, line):
            lines[at] = f"include {other}"
    return {"name": str(path), "text": "\n".join(lines)}
