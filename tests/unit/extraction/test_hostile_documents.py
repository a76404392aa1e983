"""Documents made to hold up whoever reads them: each is read within bounds, or has no text."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

import pytest

from posthouse.extraction import documents
from posthouse.extraction.documents import document_text
from posthouse.extraction.kinds import PDF, SLIDES, WORD
from support.documents import pdf, pdf_of, zipped

_LAUGHS = (
    '<!DOCTYPE d [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><w:p><w:t>&a9;</w:t></w:p>"
)
_CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def _page(contents: bytes, resources: bytes = b"", *more: bytes) -> bytes:
    return pdf_of(
        _CATALOG,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R%b>>" % resources,
        contents,
        *more,
    )


def _stream(octets: bytes, head: bytes = b"") -> bytes:
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (head, len(octets), octets)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (WORD, lambda: zipped(word__document_xml=_LAUGHS)),
        (WORD, lambda: zipped(word__document_xml="<w:p>" * 300_000)),
        (WORD, lambda: zipped(**{f"x{n}": "" for n in range(5001)}, word__document_xml="<a/>")),
        (PDF, lambda: pdf_of(_CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>")),
        (PDF, lambda: pdf_of(_CATALOG, b"2 0 R")),
        (PDF, lambda: pdf_of(_CATALOG, b"[" * 200_000)),
        (PDF, lambda: pdf("").replace(b"/Size", b"/Prev %d/Size" % pdf("").rindex(b"xref\n0"))),
        (PDF, lambda: _page(_stream(zlib.compress(b"BT () Tj ET\n" * 300_000), b"/Filter/FlateDecode"))),
        (PDF, lambda: _page(_stream(b"/X Do /X Do"), b"/Resources<</XObject<</X 5 0 R>>>>",
            _stream(b"/X Do /X Do", b"/Type/XObject/Subtype/Form/Resources<</XObject<</X 5 0 R>>>>"))),
    ],
    ids=["entities", "depth", "members", "page tree", "reference", "arrays", "tables", "stream", "forms"],
)  # fmt: skip
def test_what_should_never_end_ends(kind: bytes, make: Callable[[], bytes]) -> None:
    octets = make()
    began = time.process_time()

    assert document_text(kind, octets).strip() == ""
    assert time.process_time() - began < 10


def test_all_files_of_an_archive_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    slides = {f"ppt__slides__s{n}_xml": "<a><a:t>" + "x" * 1000 + "</a:t></a>" for n in range(5)}
    whole = document_text(SLIDES, zipped(**slides))
    monkeypatch.setattr(documents, "MAX_UNPACKED_OCTETS", 2500)
    cut = document_text(SLIDES, zipped(**slides))

    assert whole.count("x") == 5000
    assert 2000 <= cut.count("x") < 2500
