"""How a message is kept in files: line ends, and the quoting of ``From ``."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.folders.lines import UnixLines


def _kept(octets: bytes, *cuts: int, quotes_from: bool) -> bytes:
    lines = UnixLines(quotes_from=quotes_from)
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    pieces = [lines.feed(octets[a:b]) for a, b in pairwise(edges)]
    return b"".join(pieces) + lines.finish()


@pytest.mark.parametrize(
    ("octets", "kept"),
    [
        (b"a\r\nFrom b\r\n", b"a\n>From b\n"),
        (b"From a\r\n\r\n>From b\r\n", b">From a\n\n>>From b\n"),
        (b"a From b\r\nFromage\r\n", b"a From b\nFromage\n"),
        (b"a\r\nFrom b", b"a\n>From b\n"),
        (b"", b""),
    ],
)
def test_a_line_that_looks_like_a_new_message_is_quoted(octets: bytes, kept: bytes) -> None:
    assert _kept(octets, quotes_from=True) == kept


def test_in_a_maildir_nothing_is_quoted() -> None:
    assert _kept(b"a\r\nFrom b\r\n", quotes_from=False) == b"a\nFrom b\n"


_LINES = st.lists(st.sampled_from([b"From x", b">From ", b">>From y", b"From", b"", b"text", b">"]))


@given(_LINES, st.lists(st.integers(0, 80)))
def test_it_does_not_matter_how_it_comes_and_it_can_be_undone(
    lines: list[bytes], cuts: list[int]
) -> None:
    octets = b"".join(line + b"\r\n" for line in lines)

    kept = _kept(octets, *cuts, quotes_from=True)

    assert kept == _kept(octets, quotes_from=True)
    assert not any(line.startswith(b"From ") for line in kept.split(b"\n"))
    undone = re.sub(rb"(?m)^>(>*From )", rb"\1", kept)
    assert undone == b"".join(line + b"\n" for line in lines)


def test_a_line_without_end_is_not_kept_in_memory() -> None:
    lines = UnixLines(quotes_from=True)

    written = sum(len(lines.feed(b"x" * 10_000)) for _ in range(100))

    assert written > 990_000
    assert len(lines.finish()) + written == 1_000_001
