"""Sequence sets: how many messages one can mean, and which."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imap_gateway.protocol.cursor import MAX_NUMBER, BadSyntax, Cursor
from imap_gateway.protocol.sequences import sequence_set, write_set


@pytest.mark.parametrize(
    ("written", "most"),
    [
        ("1", 1),
        ("1,3,5", 3),
        ("2:4,9:7", 6),
        ("1:*", 1000),
        ("1:10,*", 1000),
        ("1:4000000000", 1000),
    ],
)
def test_what_a_set_can_mean_at_most(written: str, most: int) -> None:
    assert sequence_set(Cursor(written.encode())).at_most(1000) == most


numbers = st.lists(st.integers(1, 400), min_size=1, max_size=60)


@given(numbers, st.sets(st.integers(1, 300)), st.sampled_from(["", ",350:360", ",*"]))
@example([*range(1, 40, 2)], {2, 40}, ",*")
def test_uids_are_found_however_many_are_named(wanted: list[int], here: set[int], end: str) -> None:
    written = ",".join(map(str, wanted)) + end
    uids = sorted(here)

    found = sequence_set(Cursor(written.encode())).indexes_of_uids(uids)

    ends = {"": (), ",350:360": range(350, 361), ",*": uids[-1:]}
    meant = {*wanted, *ends[end]}
    assert [uids[index] for index in found] == [uid for uid in uids if uid in meant]


@pytest.mark.parametrize(
    "written", [f"{MAX_NUMBER + 1}", f"1,{MAX_NUMBER + 1}", f"1:2,{MAX_NUMBER + 1}"]
)
def test_numbers_are_bounded(written: str) -> None:
    with pytest.raises(BadSyntax):
        sequence_set(Cursor(written.encode()))


def test_a_range_is_written_as_it_is() -> None:
    assert write_set(range(3, 10**9)) == b"3:999999999"
    assert write_set(range(3, 3)) == b""
