"""Messages in files: mbox, Maildir, a folder of .eml files, one .eml; one after the other, by the line.

Only the beginning of each is kept: more of it nobody learns from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from postmaster.cli.failure import Failure

BEGINNING_OCTETS = 256 * 1024
MAX_LINE_OCTETS = 64 * 1024
_MBOX_START = b"From "
_QUOTED = re.compile(rb">+From ")
_LONE_LF = re.compile(rb"(?<!\r)\n")
_IGNORED = (".", "dovecot", "courier", "maildir", "subscriptions")


def beginnings(path: Path) -> Iterator[bytes]:
    """Yield the beginning of each message at ``path``, with CRLF; raise `Failure` if there is none."""
    if path.is_dir():
        yield from _folder(path)
    elif path.is_file():
        yield from _file(path)
    else:
        raise Failure(f"There is no {path}.")


def _folder(folder: Path) -> Iterator[bytes]:
    """Yield what is in a Maildir and the folders below it, or in any folder of files."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "tmp":
            yield from _folder(path)
        elif path.is_file() and not path.name.startswith(_IGNORED):
            yield from _file(path)


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        if lines.read(len(_MBOX_START)) == _MBOX_START:
            lines.seek(0)
            yield from _mbox(lines)
        else:
            lines.seek(0)
            yield _with_crlf(lines.read(BEGINNING_OCTETS))


def _mbox(lines: BinaryIO) -> Iterator[bytes]:
    """Yield the messages of an mbox: each behind a line ``From ``, which follows an empty one (RFC 4155)."""
    message, size, is_after_empty = list[bytes](), 0, True
    for line in iter(lambda: lines.readline(MAX_LINE_OCTETS), b""):
        if is_after_empty and line.startswith(_MBOX_START):
            if message:
                yield _with_crlf(b"".join(message))
            message, size = [], 0
        elif size < BEGINNING_OCTETS:
            text = line[1:] if _QUOTED.match(line) else line
            message.append(text)
            size += len(text)
        is_after_empty = line in {b"\n", b"\r\n"}
    if message:
        yield _with_crlf(b"".join(message))


def _with_crlf(octets: bytes) -> bytes:
    return _LONE_LF.sub(b"\r\n", octets)[:BEGINNING_OCTETS]
