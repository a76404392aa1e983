"""The files of a mail that may be reports, unpacked within bounds: strangers packed them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator

from posthouse.mime.parameters import parse_token
from posthouse.mime.structure import Entity, read_tree
from posthouse.mime.text import decoded_body
from postmaster.reports.received import BadReport

MAX_OCTETS = 20 * 2**20  # unpacked
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_CONTAINERS = frozenset({b"application", b"text"})
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def files_of(octets: bytes) -> Iterator[bytes]:
    """Yield what may be a report in a mail, one after the other."""
    todo: list[Entity] = [read_tree(octets)]
    while todo:
        entity = todo.pop()
        if entity.type.value.startswith(b"multipart/"):
            todo.extend(reversed(entity.children))
        elif entity.type.value.partition(b"/")[0] in _CONTAINERS:
            encoding = parse_token(entity.fields.get(b"content-transfer-encoding", (b"",))[0])
            yield decoded_body(octets[entity.body : entity.end], encoding)


def unpacked(body: bytes) -> bytes:
    """Return what is in a gzip or zip file, at most `MAX_OCTETS`; anything else as it is.

    Raises `BadReport`.
    """
    try:
        if body.startswith(_GZIP):
            unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            octets = unpacker.decompress(body, MAX_OCTETS + 1)
            if not unpacker.eof and len(octets) <= MAX_OCTETS:
                raise BadReport("the file is cut off")
        elif body.startswith(_ZIP):
            octets = _first_file(body)
        else:
            octets = body
    except (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as wrong:
        raise BadReport(f"cannot be unpacked: {wrong}") from wrong
    if len(octets) > MAX_OCTETS:
        raise BadReport("it unpacks to too much")
    return octets


def _first_file(body: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        first = next(iter(archive.infolist()), None)
        if first is None or first.compress_type not in {_STORED, _DEFLATED}:
            raise BadReport("an archive without a file that can be read")
        with archive.open(first) as file:
            return file.read(MAX_OCTETS + 1)
