"""Of several copies of an envelope that waits to be judged one goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from policy_engine.late.turns import BEHIND, Drop, Later, Now, Turn, Waiting, turn_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("attempts", "waiting", "turn"),
    [
        (0, None, Drop()),
        (0, Waiting(), Now()),
        (1, Waiting(attempts=1, due=NOW + MINUTE), Later(MINUTE)),
        (1, Waiting(attempts=1, due=NOW), Now()),
        (1, Waiting(attempts=1, due=NOW + timedelta(seconds=4)), Now()),
        (0, Waiting(attempts=1, due=NOW + MINUTE), Later(MINUTE + BEHIND)),
        (0, Waiting(attempts=1, due=NOW), Later(BEHIND)),
        (0, Waiting(attempts=1, due=NOW - BEHIND), Now()),
        (0, Waiting(attempts=2, due=NOW - BEHIND), Drop()),
        (3, Waiting(attempts=2, due=NOW), Now()),
        (2, Waiting(attempts=2), Now()),
    ],
)
def test_a_copy_goes_on_waits_or_is_dropped(
    attempts: int, waiting: Waiting | None, turn: Turn
) -> None:
    assert turn_of(attempts, waiting, NOW) == turn
