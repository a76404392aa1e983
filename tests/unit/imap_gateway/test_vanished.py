"""Which UIDs went, and how far a client's numbers are ours; against the obvious way to tell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.view.vanished import above, among, joined, last_match, missing, written

UIDS = st.lists(st.integers(1, 40), unique=True).map(sorted)


def expanded(ranges: list[tuple[int, int]]) -> list[int]:
    return [uid for first, last in ranges for uid in range(first, last + 1)]


def test_ranges_are_written_as_a_set() -> None:
    assert written(joined([1, 2, 3, 5, 7, 8])) == b"1:3,5,7:8"
    assert joined([]) == []


@given(UIDS)
def test_joining_loses_nothing(uids: list[int]) -> None:
    assert expanded(joined(uids)) == uids


@given(UIDS, UIDS)
def test_what_went_of_what_is_known(gone: list[int], known: list[int]) -> None:
    assert expanded(among(gone, joined(known))) == sorted(set(gone) & set(known))


@given(UIDS, UIDS)
def test_what_is_not_here_of_what_is_known(here: list[int], known: list[int]) -> None:
    assert expanded(missing(here, joined(known))) == sorted(set(known) - set(here))


@given(UIDS, st.integers(0, 45), st.integers(0, 45))
def test_ranges_are_cut_at_both_ends(known: list[int], floor: int, last: int) -> None:
    cut = expanded(above(joined(known), floor, last))

    assert cut == [uid for uid in known if floor < uid <= last]


def test_the_rfcs_example_of_matching_numbers() -> None:
    # RFC 7162 §3.2.5.2: messages 4 and 12 were 8 and 24, now the twelfth is 25
    here = [1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25]

    assert last_match(here, [(4, 4), (12, 12)], [(8, 8), (24, 24)]) == 8


@given(UIDS, st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), unique=True))
def test_the_highest_uid_that_is_numbered_alike(
    here: list[int], claimed: list[tuple[int, int]]
) -> None:
    numbers = sorted({number for number, _ in claimed})
    uids = sorted({uid for _, uid in claimed})
    both = min(len(numbers), len(uids))
    numbers, uids = numbers[:both], uids[:both]

    told = zip(numbers, uids, strict=True)
    alike = [uid for number, uid in told if here[number - 1 : number] == [uid]]
    assert last_match(here, joined(numbers), joined(uids)) == max(alike, default=0)
