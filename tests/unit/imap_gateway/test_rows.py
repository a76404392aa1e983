"""Steps are applied to rows in one go where messages stand side by side: to the same end as one by one."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from imap_gateway.view.hits import mark, places_of
from imap_gateway.view.rows import Rows

STEP = 10
BEHIND, AHEAD = STEP - 1, STEP + 1  # a message that changed after the step stays as it is

kept = st.dictionaries(st.integers(1, 60), st.sampled_from([BEHIND, STEP, AHEAD]))
run = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda ends: range(*sorted(ends)))
named = st.one_of(run, st.sets(st.integers(1, 60))).map(list).flatmap(st.permutations)
words = st.dictionaries(st.integers(1, 60), st.sampled_from([(3,), (3, 5)]), max_size=2)


@given(kept, named, words, words)
@example({1: STEP, 2: AHEAD, 3: BEHIND}, [1, 2, 3], {}, {})
def test_flags_change_at_once_or_one_by_one(
    steps: Mapping[int, int],
    uids: list[int],
    before: Mapping[int, tuple[int, ...]],
    after: Mapping[int, tuple[int, ...]],
) -> None:
    rows = _rows(steps, before)
    after = {uid: numbers for uid, numbers in after.items() if uid in uids}
    pairs = b"".join(struct.pack(">II", uid, uid % 32) for uid in uids)

    told = rows.change(struct.pack(">i", len(uids)) + pairs + _text(after), STEP)

    assert list(told) == sorted(uids)
    for at, uid in enumerate(sorted(steps)):
        was = (rows.flags[at], rows.modseqs[at], rows.keywords[at])
        if uid in uids and steps[uid] <= STEP:
            assert was == (uid % 32, STEP, after.get(uid, ()))
        else:
            assert was == (0, steps[uid], before.get(uid, ()))


@given(st.sets(st.integers(1, 60)), st.integers(0, 60), st.one_of(run, st.sets(st.integers(1, 60))))
def test_messages_are_marked_at_once_or_one_by_one(
    here: set[int], count: int, uids: Iterable[int]
) -> None:
    known = array("I", sorted(here))
    marks = bytearray(min(count, len(known)))  # some may have come that the client knows not of

    mark(marks, known, array("I", sorted(uids)))

    meant = [place for place, uid in enumerate(known[: len(marks)]) if uid in set(uids)]
    assert list(places_of(marks)) == meant


def _rows(steps: Mapping[int, int], keywords: Mapping[int, tuple[int, ...]]) -> Rows:
    rows = Rows()
    packed = (struct.pack(">IIqqi", uid, 0, steps[uid], 1000 + uid, 10) for uid in sorted(steps))
    here = {uid: numbers for uid, numbers in keywords.items() if uid in steps}
    rows.extend(b"".join(packed), _text(here).decode())
    return rows


def _text(keywords: Mapping[int, tuple[int, ...]]) -> bytes:
    entries = (f"{uid}:{','.join(map(str, numbers))}" for uid, numbers in sorted(keywords.items()))
    return ";".join(entries).encode()
