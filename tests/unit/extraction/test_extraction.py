"""What the indexer's workers read, and how they end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from posthouse.extraction.attachments import attached_texts
from posthouse.extraction.child import make
from posthouse.extraction.documents import document_text
from posthouse.extraction.jobs import Job
from posthouse.extraction.kinds import WORD, has_documents
from posthouse.extraction.workshop import Broken, open_workshop
from posthouse.mime import scan, unpack_parts
from posthouse.mime.folding import fold
from support.documents import attached, docx, pdf, zipped

MEMORY = 512 * 1024 * 1024


def texts_of(letter: bytes) -> list[str]:
    return list(attached_texts(letter, unpack_parts(scan(letter).parts)))


def job(letter: bytes) -> Job:
    summary = scan(letter)
    return Job(account=1, content=2, header=summary.header, parts=summary.parts, octets=letter,
               with_documents=True)  # fmt: skip


@pytest.mark.parametrize(
    ("letter", "text"),
    [
        (attached("a.docx", docx("Donau", "dampf")), "donaudampf"),
        (attached("a.bin", docx("Groß"), "application/vnd.openxmlformats-officedocument."
                  "wordprocessingml.document"), "gross"),
        (attached("a.PDF", pdf("Quarterly figures")), "quarterly figures"),
        (attached("a.pptx", zipped(ppt__slides__slide1_xml="<a><a:t>Folie</a:t></a>")), "folie"),
        (attached("a.xlsx", zipped(xl__sharedStrings_xml="<sst><si><t>Zelle</t></si></sst>")),
         "zelle"),
        (attached("a.odt", zipped(content_xml="<d><s>no</s><office:body><text:p>Ja"
                                  "</text:p></office:body></d>")), "ja"),
    ],
)  # fmt: skip
def test_documents_are_read(letter: bytes, text: str) -> None:
    [found] = texts_of(letter)

    assert found.split() == fold(text).split()


@pytest.mark.parametrize(
    "octets",
    [b"", b"%PDF-1.4\nrubbish", b"PK\x03\x04" + b"\xff" * 100, pdf("x")[:200], docx("x")[:-30]],
)
def test_rubbish_has_no_text(octets: bytes) -> None:
    for kind in ("a.pdf", "a.docx", "a.odt"):
        assert not texts_of(attached(kind, octets))


def test_a_document_that_grows_is_cut() -> None:
    bomb = zipped(word__document_xml="<w:p><w:t>" + "a" * 80_000_000)
    text = document_text(WORD, bomb)

    assert len(text) <= 4 * 1024 * 1024


@pytest.mark.parametrize(("name", "is_one"), [("a.png", False), ("pdf", True), ("a.PDF", True)])
def test_documents_are_known_by_their_names(name: str, *, is_one: bool) -> None:
    letter = attached(name, b"x")

    assert has_documents(letter, unpack_parts(scan(letter).parts)) == is_one
    assert has_documents(letter.replace(b"octet-stream", b"pdf"), unpack_parts(scan(letter).parts))


def test_a_worker_makes_what_the_message_is_found_by() -> None:
    made = make(job(attached("a.docx", docx("Wort"))))

    assert made.header.subject == "look"
    assert "wort" in made.body
    assert made.keys


async def test_a_worker_that_takes_too_long_is_ended_and_the_next_job_done() -> None:
    letter = attached("a.docx", docx("Wort"))
    async with open_workshop(1, patience=timedelta(milliseconds=1), memory=MEMORY) as workshop:
        with pytest.raises(Broken):
            await workshop.make(job(letter))
    async with open_workshop(1, patience=timedelta(seconds=30), memory=MEMORY) as workshop:
        assert "wort" in (await workshop.make(job(letter))).body
        first = workshop._all[0]._process
        assert first is not None
        first.kill()
        await first.wait()
        assert "wort" in (await workshop.make(job(letter))).body


async def test_a_worker_that_has_nothing_to_do_ends() -> None:
    letter = attached("a.docx", docx("Wort"))
    async with open_workshop(
        1,
        patience=timedelta(seconds=30),
        memory=MEMORY,
        idleness=timedelta(milliseconds=1),
    ) as workshop:
        for _ in range(2):  # the next job gets a new one
            assert "wort" in (await workshop.make(job(letter))).body
            worker = workshop._all[0]._process
            assert worker is not None
            async with asyncio.timeout(10):
                assert await worker.wait() == 0


async def test_jobs_go_together_and_come_back_in_order() -> None:
    letters = [attached("a.docx", docx(word)) for word in ("eins", "zwei", "drei")]
    async with open_workshop(1, patience=timedelta(seconds=30), memory=MEMORY) as workshop:
        made = await workshop.make_all([job(letter) for letter in letters])

    assert [one.body.split()[-1] for one in made] == ["eins", "zwei", "drei"]


async def test_a_worker_that_needs_too_much_memory_ends_alone() -> None:
    letter = attached("a.docx", b"x" * 60_000_000)
    memory = 256 * 1024 * 1024
    async with open_workshop(1, patience=timedelta(seconds=30), memory=memory) as workshop:
        with pytest.raises(Broken):
            await workshop.make(job(letter))
        assert (await workshop.make(job(attached("a.docx", docx("y"))))).body
