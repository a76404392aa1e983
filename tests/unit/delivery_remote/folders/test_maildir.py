"""A Maildir gets each message once, whole, and nowhere else."""

from __future__ import annotations

import io
import mailbox
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery_remote.folders.maildir import Maildir
from support.limits import files_of_at_most

BODY = io.BytesIO(b"Subject: Hello\n\nHello.\n")
PREFIX = b"Return-Path: <anna@a.test>\nDelivered-To: bert@b.test\n"
NAME = "1700000000.I0R0.mail.test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for below in ("tmp", "new", "cur"):
        (tmp_path / "b.test/bert" / below).mkdir(parents=True)
    return tmp_path


def _bert(root: Path) -> Maildir:
    return Maildir(root, ("b.test", "bert"), create=False)


def _read(root: Path) -> list[bytes]:
    """Return the messages as another program reads them."""
    reader = mailbox.Maildir(root / "b.test/bert", create=False)
    return [reader.get_bytes(key) for key in reader.iterkeys()]


def test_a_message_is_filed_whole_with_where_it_came_from(root: Path) -> None:
    _bert(root).file(NAME, PREFIX, BODY)

    assert _read(root) == [PREFIX + BODY.getvalue()]


def _leave(_: Path) -> None:
    pass


def _move(root: Path) -> None:
    bert = root / "b.test/bert"
    (bert / "new" / NAME).rename(bert / "cur" / f"{NAME}:2,S")


def _tidy_up(root: Path) -> None:
    (root / "b.test/bert/tmp" / NAME).unlink()


@pytest.mark.parametrize("meanwhile", [_leave, _move, _tidy_up])
def test_the_second_time_changes_nothing(root: Path, meanwhile: object) -> None:
    bert = _bert(root)
    bert.file(NAME, PREFIX, BODY)
    assert callable(meanwhile)
    meanwhile(root)

    bert.file(NAME, PREFIX, BODY)
    bert.forget(NAME)
    bert.forget(NAME)

    assert len(_read(root)) == 1
    assert list((root / "b.test/bert/tmp").iterdir()) == []


def test_what_a_death_left_half_written_is_written_anew(root: Path) -> None:
    (root / "b.test/bert/tmp" / NAME).write_bytes(PREFIX[:10])

    _bert(root).file(NAME, PREFIX, BODY)

    assert _read(root) == [PREFIX + BODY.getvalue()]


class _Slow(io.BytesIO):
    """A message whose first reading takes so long that others file it meanwhile."""

    def __init__(self, root: Path, *, breaks: bool) -> None:
        super().__init__(BODY.getvalue())
        self._root = root
        self._breaks = breaks
        self._is_first = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._is_first:
            self._is_first = False
            _bert(self._root).file(NAME, PREFIX, BODY)
            _move(self._root)
            if self._breaks:
                raise OSError("broken")
        return super().read(size)


@pytest.mark.parametrize("breaks", [False, True])
def test_an_attempt_that_hung_while_the_next_came_through_files_nothing(
    root: Path, *, breaks: bool
) -> None:
    with pytest.raises(OSError, match=r"broken|No such file"):
        _bert(root).file(NAME, PREFIX, _Slow(root, breaks=breaks))

    assert _read(root) == [PREFIX + BODY.getvalue()]
    _bert(root).file(NAME, PREFIX, BODY)
    assert _read(root) == [PREFIX + BODY.getvalue()]


def test_a_full_disk_leaves_nothing_behind(root: Path) -> None:
    with files_of_at_most(8), pytest.raises(OSError, match="too large"):
        _bert(root).file(NAME, PREFIX, BODY)

    assert _read(root) == []
    assert list((root / "b.test/bert/tmp").iterdir()) == []


def _links(root: Path) -> Iterator[tuple[Path, Path]]:
    bert = root / "b.test/bert"
    for part in (bert.parent, bert, bert / "tmp", bert / "new", bert / "cur"):
        yield part, part.with_name(f"{part.name}-elsewhere")


@pytest.mark.parametrize("number", range(5))
def test_no_part_of_the_way_may_be_a_link(root: Path, number: int) -> None:
    part, elsewhere = list(_links(root))[number]
    part.rename(elsewhere)
    part.symlink_to(elsewhere)

    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        _bert(root).file(NAME, PREFIX, BODY)

    files = [name for _, _, names in os.walk(root, followlinks=True) for name in names]
    assert files == []


def test_a_link_under_the_name_of_the_message_is_not_followed(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (root / "b.test/bert/tmp" / NAME).symlink_to(victim)

    _bert(root).file(NAME, PREFIX, BODY)

    assert victim.read_bytes() == b"precious"
    assert _read(root) == [PREFIX + BODY.getvalue()]


def test_a_folder_is_made_only_if_that_is_wanted(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Maildir(root, ("b.test", "carl"), create=False).file(NAME, PREFIX, BODY)
    assert not (root / "b.test/carl").exists()

    Maildir(root, ("b.test", "carl"), create=True).file(NAME, PREFIX, BODY)

    assert (root / "b.test/carl/new" / NAME).read_bytes() == PREFIX + BODY.getvalue()
    assert (root / "b.test/carl").stat().st_mode & 0o777 == 0o700
