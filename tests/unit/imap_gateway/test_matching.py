"""Messages are looked at some thousands at a time, and what is found is the same as of all at once."""

from __future__ import annotations

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.protocol import keys as k
from imap_gateway.protocol.sequences import SequenceSet
from imap_gateway.searching.finding import Found
from imap_gateway.view import hits, matching
from imap_gateway.view.flags import FLAGGED, SEEN, Keywords
from imap_gateway.view.hits import Numbers, contents_of, marked_packed, marked_uids, unpacked
from imap_gateway.view.matching import Scope, candidates
from imap_gateway.view.position import Position, message_rows
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import SharedView

COUNT = 30
WHEN = k.HasId("M1", is_thread=False)


@pytest.fixture(autouse=True, params=[1, 7, 10_000])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hits, matching):
        monkeypatch.setattr(module, "AT_ONCE", request.param)


def a_position() -> Position:
    """UIDs 2, 4, 6 and so on; every second is seen, every third flagged; of the first ten UIDs 4 went."""
    view = SharedView(1, 2, 3)
    rows = Rows()
    for n in range(1, COUNT + 1):
        flags = (SEEN if n % 2 else 0) | (FLAGGED if not n % 3 else 0)
        rows.extend(struct.pack(">IIqqi", 2 * n, flags, n, 5000 - n, 10 * n), "")
    view.restart(rows, COUNT, 2 * COUNT + 1)
    position = Position(view)
    view.expunge(COUNT + 1, [4])
    view.reach(COUNT + 1, 2 * COUNT + 1)
    return position


def a_scope(position: Position) -> Scope:
    rows, _, places = message_rows(position, range(position.count))
    found: dict[matching.Outside, bytearray] = {
        WHEN: bytearray(at % 5 == 0 for at in range(len(rows)))
    }
    return Scope(rows=rows, places=places, position=position, keywords=Keywords({}), found=found)


def meaning(key: k.Key, scope: Scope, place: int) -> bool:
    """Say whether a message matches, by itself."""
    match key:
        case k.And(keys=keys):
            return all(meaning(one, scope, place) for one in keys)
        case k.Or(one=one, other=other):
            return meaning(one, scope, place) or meaning(other, scope, place)
        case k.Not(key=inner):
            return not meaning(inner, scope, place)
        case _:
            return leaf_meaning(key, scope, place)


def leaf_meaning(key: k.Key, scope: Scope, place: int) -> bool:
    uid, number = scope.rows.uids[place], scope.rows.uids[place] // 2
    match key:
        case k.Flagged(bit=bit, is_set=is_set):
            return bool(scope.rows.flags[place] & bit) is is_set
        case k.InSet(numbers=numbers, is_uid=is_uid):
            named = uid if is_uid else number
            return any(a <= named <= b for a, b in numbers.resolve(2 * COUNT if is_uid else COUNT))
        case _:
            return bool(scope.found[WHEN][place])


sets = st.builds(
    lambda pairs: SequenceSet(tuple(pairs)),
    st.lists(st.tuples(st.integers(0, COUNT), st.integers(0, COUNT)), min_size=1, max_size=3),
)
leaves = st.one_of(
    st.sampled_from([WHEN, k.Flagged(SEEN, True), k.Flagged(FLAGGED, False)]),
    st.builds(k.InSet, sets, is_uid=st.booleans()),
)
keys = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(k.Not, inner),
        st.builds(k.Or, inner, inner),
        st.builds(k.And, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(keys)
def test_what_matches_is_what_matches_by_itself(key: k.Key) -> None:
    scope = a_scope(a_position())

    expected = [place for place in scope.places if meaning(key, scope, place)]

    assert list(matching.matching(key, scope)) == expected
    assert set(expected) <= set(candidates(key, scope))


def test_numbers_are_those_that_the_client_counts_and_some_went() -> None:
    position = a_position()
    rows, indexes, places = message_rows(position, range(position.count))
    found = Found(rows=rows, indexes=indexes, places=places, matched=places, step=1)

    assert list(found.numbers(places, is_uid=False)) == [1, *range(3, COUNT + 1)]
    assert list(found.numbers(places, is_uid=True)) == [2, *range(6, 2 * COUNT + 1, 2)]
    assert found.modseq(places) == COUNT
    assert found.modseq([]) is None


def test_what_was_saved_is_looked_for_among_what_is_left() -> None:
    position = a_position()
    position.saved = array("I", [2, 4, 8])

    found = matching.matching(
        k.InSet(SequenceSet((), is_saved=True), is_uid=True), a_scope(position)
    )

    assert list(found) == [0, 2]


@given(st.sets(st.integers(0, 1 << 40)), st.integers(0, 1 << 40))
def test_a_set_in_parts_is_a_set(numbers: set[int], other: int) -> None:
    parts = Numbers(numbers)

    assert all(number in parts for number in numbers)
    assert (other in parts) is (other in numbers)


def test_packed_contents_mark_the_messages_that_show_them() -> None:
    rows = a_position().view.rows
    packed = struct.pack(">3q", 4999, 4990, 7)

    assert list(unpacked(packed)) == [4999, 4990, 7]
    marks = marked_packed(rows, range(len(rows)), packed)

    assert [rows.contents[at] for at, is_marked in enumerate(marks) if is_marked] == [4999, 4990]
    assert list(contents_of(rows, [0, 3])) == [4999, 4995]
    assert contents_of(rows, range(1, len(rows))) == rows.contents[1:]


@given(st.sets(st.integers(1, 2 * COUNT + 5)), st.sampled_from([1, 2]))
def test_uids_from_elsewhere_mark_the_messages_that_are_here(dated: set[int], step: int) -> None:
    rows = a_position().view.rows
    uids = sorted(dated | set(range(20, 40, step)))  # some neighbours, as of the same days

    marks = marked_uids(rows, b"".join(struct.pack(">q", uid) for uid in uids))

    assert [uid for uid, marked in zip(rows.uids, marks, strict=True) if marked] == [
        uid for uid in rows.uids if uid in uids
    ]
