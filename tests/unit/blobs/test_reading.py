"""Small files that the page cache has are read at once; large heaps of them are left to a thread."""

from __future__ import annotations

from pathlib import Path

from posthouse.blobs.reading import INLINE_FILES, INLINE_OCTETS, read_many_cached


def written(folder: Path, *sizes: int) -> list[str]:
    """Return the paths of new files of these sizes."""
    paths = [folder / str(number) for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(b"x" * size)
    return [str(path) for path in paths]


def test_small_files_are_read_in_their_order(tmp_path: Path) -> None:
    paths = written(tmp_path, 3, 0, 5)
    paths.insert(1, str(tmp_path / "missing"))

    assert read_many_cached(paths) == [b"xxx", None, b"", b"xxxxx"]


def test_no_more_octets_are_read_than_one_copy_may_take(tmp_path: Path) -> None:
    half = INLINE_OCTETS // 2
    paths = written(tmp_path, half, half + 1, 1)

    assert read_many_cached(paths) == [b"x" * half]


def test_no_more_files_are_read_than_a_turn_allows(tmp_path: Path) -> None:
    paths = written(tmp_path, *[1] * (INLINE_FILES + 1))

    assert read_many_cached(paths) == [b"x"] * INLINE_FILES
