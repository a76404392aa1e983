"""Others are told of a mailbox at once, and of one that changes on and on less often."""

from __future__ import annotations

from itertools import pairwise

from imap_gateway.memory.pacing import FIRST, LONGEST, Pace

INBOX, SENT = (1, 1), (1, 2)


def test_a_mailbox_that_rested_is_told_of_at_once() -> None:
    pace = Pace()
    assert pace.due([INBOX], 100.0) == [INBOX]
    assert pace.due([INBOX, SENT], 100.0 + FIRST / 2) == [SENT]
    assert pace.due([INBOX], 100.0 + 10 * LONGEST) == [INBOX]
    assert pace.due([INBOX], 100.0 + 10 * LONGEST + FIRST) == [INBOX]


def test_one_that_changes_on_and_on_is_told_of_less_and_less_often_and_never_seldom() -> None:
    pace, now, told = Pace(), 100.0, []
    while now < 110.0:
        if pace.due([INBOX], now):
            told.append(now)
        now += FIRST / 8
    gaps = [after - before for before, after in pairwise(told)]
    assert gaps == sorted(gaps, key=lambda gap: round(gap, 3))
    assert gaps[0] < 2 * FIRST
    assert LONGEST <= gaps[-1] < LONGEST + FIRST


def test_nothing_is_kept_of_mailboxes_that_rest() -> None:
    pace = Pace()
    pace.due([(1, number) for number in range(1000)], 100.0)
    pace.due([], 100.0 + 3 * FIRST)
    assert not pace._gaps
