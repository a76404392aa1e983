"""The text of documents: PDF, and the zipped XML of office programs. Runs in a worker process alone.

The only importer of pypdf. Strangers send these files: where a reader fails, the document has the text
until there; what takes too much time or memory costs the worker, and the message is read without it.
"""

from __future__ import annotations

import logging
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from types import MappingProxyType
from typing import Final, TypeAlias
from xml.parsers import expat

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from posthouse.extraction.kinds import OPEN, PDF, SHEET, SLIDES, WORD

MAX_TEXT = 4 * 1024 * 1024  # characters of one document
MAX_UNPACKED_OCTETS = 64 * 1024 * 1024  # of all files in an archive that are read
MAX_MEMBERS = 5000

_Reader: TypeAlias = Callable[[bytes], Iterable[str]]

_TEXT_ELEMENT = "t"  # w:t, a:t, and t of a spreadsheet's strings
_BLOCKS = frozenset({"p", "h", "si", "tc", "table-cell", "br", "tab", "line-break"})

# What readers fail by when octets are not what they say they are: pypdf checks little beforehand.
_UNREADABLE = (
    PyPdfError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, expat.ExpatError,
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip

logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def document_text(kind: bytes, octets: bytes) -> str:
    """Return the text of a document, as far as it can be read.

    Args:
        kind: As `posthouse.extraction.kinds.document_kind` says.
        octets: Without transfer encoding.
    """
    reader = _READERS[kind]
    pieces: list[str] = []
    size = 0
    with suppress(*_UNREADABLE):
        for piece in reader(octets):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_TEXT:
                break
    return "\n".join(pieces)[:MAX_TEXT]


def _pdf(octets: bytes) -> Iterable[str]:
    for page in PdfReader(BytesIO(octets)).pages:
        yield page.extract_text()


def _members(pattern: re.Pattern[str], *, is_odf: bool) -> _Reader:
    def read(octets: bytes) -> Iterable[str]:
        with zipfile.ZipFile(BytesIO(octets)) as archive:
            names = [name for name in archive.namelist()[:MAX_MEMBERS] if pattern.fullmatch(name)]
            left = MAX_UNPACKED_OCTETS
            for name in names:
                with archive.open(name) as member:
                    unpacked = member.read(left)
                yield _xml_text(unpacked, is_odf=is_odf)
                left -= len(unpacked)
                if not left:
                    return

    return read


def _xml_text(octets: bytes, *, is_odf: bool) -> str:
    """Return the characters of a document's text, one line for each paragraph."""
    pieces: list[str] = []
    depth = 0

    def begin(name: str, _attributes: object) -> None:
        nonlocal depth
        depth += _is_text(name, is_odf=is_odf)

    def end(name: str) -> None:
        nonlocal depth
        depth -= _is_text(name, is_odf=is_odf)
        if name.rpartition(":")[2] in _BLOCKS:
            pieces.append("\n")

    def text(characters: str) -> None:
        if depth:
            pieces.append(characters)

    def declare(*_entity: object) -> None:
        raise ValueError("no office program declares entities: they may multiply what is read")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = text, declare
    parser.Parse(octets, False)  # noqa: FBT003 - expat's: more could come, it may have been cut
    return "".join(pieces)


def _is_text(name: str, *, is_odf: bool) -> bool:
    return name == "office:body" if is_odf else name.rpartition(":")[2] == _TEXT_ELEMENT


_WORD = _members(
    re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml"),
    is_odf=False,
)
_SHEET = _members(
    re.compile(r"xl/(?:sharedStrings|worksheets/[^/]*|comments\d*)\.xml"), is_odf=False
)
_SLIDES = _members(re.compile(r"ppt/(?:slides|notesSlides)/[^/]*\.xml"), is_odf=False)
_OPEN = _members(re.compile(r"content\.xml"), is_odf=True)
_READERS: Final[Mapping[bytes, _Reader]] = MappingProxyType({
    PDF: _pdf,
    WORD: _WORD,
    SHEET: _SHEET,
    SLIDES: _SLIDES,
    **dict.fromkeys(OPEN, _OPEN),
})  # fmt: skip
