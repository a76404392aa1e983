from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from imap_gateway.memory.bodies import Bodies
from imap_gateway.memory.caches import OctetsCache
from imap_gateway.view.sections import pick_fields, without_extensions
from posthouse.mail.errors import MissingObject
from posthouse.mime import scan
from posthouse.mime.indexed import header_text
from posthouse.storage.contents import Place

HEADER = b"A: 1\r\nB: 2\r\n\tfolded\r\na: 3\r\nno field\r\nC:4\r\n\r\n"


def test_named_fields_are_picked_with_their_folds() -> None:
    assert pick_fields(HEADER, [b"b", b"A"], is_not=False) == (
        b"A: 1\r\nB: 2\r\n\tfolded\r\na: 3\r\n\r\n"
    )
    assert pick_fields(HEADER, [b"A"], is_not=True) == b"B: 2\r\n\tfolded\r\nC:4\r\n\r\n"
    assert pick_fields(HEADER, [b"X"], is_not=False) == b"\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\r\n\r\nbody\r\n",
        b'Content-Type: image/png; name="a\\"b"\r\nContent-MD5: x\r\n\r\nbody',
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b\r\n"
            b"Content-Type: message/rfc822\r\n\r\nFrom: a@b, c@d\r\nSubject: \xff\r\n\r\nx\r\n--b--\r\n"
        ),
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        b"",
    ],
)
def test_a_body_is_a_bodystructure_without_extensions(message: bytes) -> None:
    whole = scan(message).bodystructure

    body = without_extensions(whole)

    assert len(body) < len(whole)
    assert body.count(b"(") == body.count(b")")
    assert without_extensions(body) == body


def test_addresses_in_a_body_stand_side_by_side() -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\nFrom: a@b, c@d\r\n\r\nx\r\n"

    body = without_extensions(scan(inner).bodystructure)

    assert b'((NIL NIL "a" "b")(NIL NIL "c" "d"))' in body


def test_headers_are_folded_for_searching() -> None:
    text = header_text(
        7, b"From: =?utf-8?q?J=C3=BCrgen?= <J@X>\r\nSubject: a\r\n B\r\nsubject: c\r\n\r\n"
    )

    assert text.subject == "a b\nc"
    assert "j@x" in text.sender
    assert "subject: c" in text.header.split("\n")


class PaperBlobs:
    def __init__(self, **objects: bytes) -> None:
        self.objects = {UUID(int=int(n[1:])): octets for n, octets in objects.items()}
        self.asked: list[tuple[int, int] | None] = []
        self.many: list[int] = []

    def _named(self, key: str) -> bytes | None:
        return self.objects.get(UUID(key.rpartition("/")[2].removesuffix(".eml")))

    def _of(self, key: str) -> bytes:
        octets = self._named(key)
        if octets is None:
            raise MissingObject("gone")
        return octets

    async def get(self, key: str) -> bytes:
        self.asked.append(None)
        return self._of(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.many.append(len(keys))
        return [None if self._named(key) is None else self._of(key) for key in keys]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self._of(key)[start:end]


def place(size: int, prefix: bytes = b"", number: int = 1) -> Place:
    return Place(object_id=UUID(int=number), size=size, prefix=prefix, header_size=0, parts=b"")


async def test_a_small_object_is_read_once_however_it_is_cut() -> None:
    blobs = PaperBlobs(o1=b"0123456789")
    bodies = Bodies(blobs)  # type: ignore[arg-type]  # two methods are all it needs
    where = place(10, prefix=b"AB")

    cuts = [await bodies.span(where, a, b) for a, b in ((0, 12), (0, 2), (1, 3), (4, 6), (11, 99))]

    assert cuts == [b"AB0123456789", b"AB", b"B0", b"23", b"9"]
    assert blobs.asked == [None]


async def test_of_a_large_object_only_the_range_is_read() -> None:
    blobs = PaperBlobs(o1=bytes(1_000_000))
    bodies = Bodies(blobs)  # type: ignore[arg-type]

    assert len(await bodies.span(place(1_000_000, b"AB"), 500_000, 500_100)) == 100
    assert blobs.asked == [(499_998, 500_098)]


async def test_several_small_objects_are_read_in_one_go_with_those_that_may_be_next() -> None:
    blobs = PaperBlobs(o1=b"one", o2=b"two", o4=b"four", o5=bytes(1_000_000))
    bodies = Bodies(blobs)  # type: ignore[arg-type]
    one, two, gone, four = (place(size, number=n) for n, size in enumerate((3, 3, 4, 4), 1))

    await bodies.load([one, two, gone], lambda: [four, place(1_000_000, number=5)])
    await bodies.load([one, two], lambda: pytest.fail("all of it is here"))

    assert blobs.many == [4]
    assert [await bodies.span(each, 0, 9) for each in (one, two, four)] == [b"one", b"two", b"four"]
    assert blobs.asked == []
    with pytest.raises(MissingObject):
        await bodies.span(gone, 0, 4)


def test_the_cache_forgets_the_longest_unused_and_keeps_nothing_huge() -> None:
    cache: OctetsCache[int] = OctetsCache(4000)
    for key in range(8):
        cache.put(key, bytes(250))
        cache.get(0)
    cache.put(99, bytes(3000))

    assert cache.get(0) is not None
    assert cache.get(7) is not None
    assert cache.get(99) is None

    for key in range(8, 30):
        cache.put(key, bytes(250))
    assert cache.get(1) is None


def test_what_is_used_outlives_what_is_not_for_two_generations() -> None:
    cache: OctetsCache[int] = OctetsCache(8000)
    for key in range(100):
        cache.put(key, bytes(200))
        assert cache.get_all([0, key, -1]) == [bytes(200), bytes(200), None]

    assert 0 in cache
    assert 50 not in cache
    assert sum(key in cache for key in range(100)) <= 8000 // 400
