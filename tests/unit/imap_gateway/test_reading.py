"""What a guest has read, as a column of flags."""

from __future__ import annotations

import struct
import time
from array import array

from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.view.flags import SEEN
from imap_gateway.view.reading import ReaderFlags
from imap_gateway.view.rows import Rows


def rows_of(flags: dict[int, int]) -> Rows:
    rows = Rows()
    packed = b"".join(
        struct.pack(">qqqi", uid << 32 | bits, 1, uid, 10) for uid, bits in sorted(flags.items())
    )
    rows.extend(packed, "")
    return rows


@given(
    st.dictionaries(st.integers(1, 60), st.integers(0, 31), max_size=40),
    st.sets(st.integers(1, 61), max_size=30),
)
def test_all_flags_are_the_mailboxs_but_seen(flags: dict[int, int], read: set[int]) -> None:
    rows, reader = rows_of(flags), ReaderFlags()

    reader.know(1, [(uid, uid + 1) for uid in sorted(read)])

    wanted = [bits & ~SEEN | (SEEN if uid in read else 0) for uid, bits in sorted(flags.items())]
    assert reader.column(rows, 1).tolist() == wanted
    unread = [at for at, bits in enumerate(wanted) if not bits & SEEN]
    assert reader.first_unseen(rows) == (unread[0] if unread else -1)


def test_the_column_follows_the_steps_of_the_mailbox() -> None:
    rows, reader = rows_of({1: 0, 2: SEEN}), ReaderFlags()
    assert reader.column(rows, 1).tolist() == [0, 0]

    rows.flags[0] = 4

    assert reader.column(rows, 2).tolist() == [4, 0]
    reader.know(2, [(1, 3)])
    assert reader.column(rows, 2).tolist() == [4 | SEEN, SEEN]


def test_a_million_messages_are_marked_quickly() -> None:
    rows, reader = Rows(), ReaderFlags()
    rows.uids = array("I", range(1, 1_000_001))
    rows.flags = array("I", bytes(4_000_000))
    reader.know(1, [(1, 500_000), (600_000, 1_000_001)])

    started = time.perf_counter()
    column = reader.column(rows, 1)

    assert time.perf_counter() - started < 0.5
    assert sum(column) == 499_999 + 400_001
