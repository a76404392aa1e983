"""Which copy of an envelope goes on; every sequence of events ends with one chain, never with none."""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from delivery_remote.copies import AT_ONCE, BEHIND, Drop, Later, Now, turn_of
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.handling import Handling
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import Open

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _copy(attempts: int, count: int = 1) -> Remote:
    people = tuple(InboundRecipient(n=n, address=f"u{n}@b.test") for n in range(count))
    return Remote(
        id=new_id(), sender="", size=1, domain="b.test", recipients=people, attempts=attempts
    )


def _row(attempts: int, left: timedelta | None = None, n: int = 0, *, warned: bool = False) -> Open:
    at = None if left is None else NOW + left
    return Open(n=n, attempts=attempts, next_attempt_at=at, warned=warned)


@pytest.mark.parametrize(
    "row",
    [
        _row(3),
        _row(3, -HOUR),
        _row(3, timedelta(seconds=4)),
        _row(2, HOUR * -1),
        _row(0),
    ],
)
def test_a_current_copy_that_is_due_goes_on(row: Open) -> None:
    copy = _copy(3)

    assert turn_of(copy, [row], NOW) == Now(copy)


def test_settled_or_two_behind_is_dropped() -> None:
    assert turn_of(_copy(1), [], NOW) == Drop()
    assert turn_of(_copy(1), [_row(3, HOUR)], NOW) == Drop()
    assert turn_of(_copy(1), [_row(3, -HOUR)], NOW) == Drop()


def test_a_current_copy_waits_until_it_is_due() -> None:
    copy = _copy(2)

    assert turn_of(copy, [_row(2, HOUR)], NOW) == Later(HOUR, copy)


def test_an_old_copy_comes_after_the_others_and_then_becomes_current() -> None:
    copy = _copy(1)

    assert turn_of(copy, [_row(2, HOUR)], NOW) == Later(HOUR + BEHIND, copy)
    assert turn_of(copy, [_row(2, timedelta())], NOW) == Later(BEHIND, copy)
    current = msgspec.structs.replace(copy, attempts=2)
    assert turn_of(copy, [_row(2, -BEHIND)], NOW) == Later(AT_ONCE, current)


def test_what_came_back_from_the_dead_letters_is_never_dropped() -> None:
    copy = _copy(0)

    assert turn_of(copy, [_row(5)], NOW) == Later(
        AT_ONCE, msgspec.structs.replace(copy, attempts=5)
    )


def test_only_open_recipients_go_on_and_a_warning_is_remembered() -> None:
    turn = turn_of(_copy(1, 3), [_row(1, n=1, warned=True)], NOW)

    assert isinstance(turn, Now)
    assert [each.n for each in turn.envelope.recipients] == [1]
    assert turn.envelope.warned


def test_a_held_recipient_is_no_copys() -> None:
    held = dataclasses.replace(_row(1), held=True)

    assert turn_of(_copy(1), [held], NOW) == Drop()
    turn = turn_of(_copy(1, 2), [held, _row(1, n=1)], NOW)
    assert isinstance(turn, Now)
    assert [each.n for each in turn.envelope.recipients] == [1]


@pytest.mark.parametrize("name", ["via", "verdict"])
def test_what_was_decided_is_only_that_copys_which_was_published_with_it(name: str) -> None:
    decided = _row(1)
    object.__setattr__(decided, name, "something")
    fresh = msgspec.structs.replace(_copy(1), **{name: "something"})

    assert turn_of(_copy(1), [decided], NOW) == Drop()
    assert turn_of(fresh, [decided], NOW) == Now(fresh)
    assert turn_of(fresh, [_row(1)], NOW) == Drop()


def test_each_copy_learns_from_the_ledger_how_long_it_was_held() -> None:
    paused = dataclasses.replace(_row(1), paused=HOUR)

    turn = turn_of(_copy(1), [paused], NOW)

    assert isinstance(turn, Now)
    assert turn.envelope.paused == 3600
    assert turn.envelope.released == turn.envelope.arrived + HOUR


def test_a_copy_waits_once_and_not_in_steps_if_one_wait_fits_nearly() -> None:
    copy = _copy(1)
    soon = timedelta(seconds=20)

    assert turn_of(copy, [_row(1, soon)], NOW) == Later(timedelta(seconds=30), copy)
    urgent = msgspec.structs.replace(copy, handling=Handling(by="999999;R"))
    assert turn_of(urgent, [_row(1, soon)], NOW) == Later(soon, urgent)


def test_what_is_old_may_come_some_minutes_early() -> None:
    day = timedelta(days=1)
    old = msgspec.structs.replace(_copy(1), id=new_id(int((NOW - day).timestamp() * 1000)))

    assert turn_of(old, [_row(1, timedelta(minutes=5))], NOW) == Now(old)
    assert isinstance(turn_of(old, [_row(1, timedelta(minutes=6))], NOW), Later)


def _decided(chance: random.Random, row: Open, now: datetime) -> Open:
    """An operator holds, releases, retries, reroutes, as chance has it."""
    decided = chance.choice(["hold", "release", "retry", "reroute"])
    if decided == "hold" and not row.held:
        return dataclasses.replace(row, held=True, next_attempt_at=None)
    if decided == "release" and row.held:
        return dataclasses.replace(row, held=False, next_attempt_at=now)
    if decided == "retry" and not row.held:
        return dataclasses.replace(row, next_attempt_at=now)
    if decided == "reroute":
        via = chance.choice(["", "smtp:a.test:25", "smtp:b.test:25"])
        at = None if row.held else now
        return dataclasses.replace(row, via=via, next_attempt_at=at) if via != row.via else row
    return row


@pytest.mark.parametrize("seed", range(50))
def test_whatever_operators_decide_one_chain_remains(seed: int) -> None:
    """Each change that makes it due publishes a fresh copy, as the ledger's marks see to."""
    chance = random.Random(seed)  # noqa: S311 - a play
    road, row, tries = [(NOW, _copy(0))], _row(0), 0
    for step in range(600):
        now = min((at for at, _ in road), default=NOW)
        if step < 300 and chance.random() < 0.3:
            before, row = row, _decided(chance, row, now)
            if row != before and not row.held:
                fresh = msgspec.structs.replace(_copy(0), attempts=row.attempts, via=row.via)
                road.append((now, fresh))
        elif step == 300 and row.held:
            row = dataclasses.replace(row, held=False, next_attempt_at=now)
            fresh = msgspec.structs.replace(_copy(0), attempts=row.attempts, via=row.via)
            road.append((now, fresh))
        if not road:
            assert row.held, "a recipient that is open and not held always has a copy"
            continue
        road.sort(key=lambda one: one[0])
        now, copy = road.pop(0)
        turn = turn_of(copy, [row], now)
        if isinstance(turn, Later):
            road.append((now + max(turn.delay, AT_ONCE), turn.envelope))
        elif isinstance(turn, Now):
            assert turn.envelope.via == row.via
            tries += 1
            attempts = turn.envelope.attempts + 1
            row = dataclasses.replace(
                row, attempts=max(row.attempts, attempts), next_attempt_at=now + HOUR
            )
            road.append((now + HOUR, msgspec.structs.replace(turn.envelope, attempts=attempts)))
    assert len(road) == 1
    assert tries > 10


@pytest.mark.parametrize("seed", range(50))
def test_copies_become_one_and_are_never_all_gone(seed: int) -> None:
    """A server that always says "later" or rests, crashes between commit and wait, doubles."""
    chance = random.Random(seed)  # noqa: S311 - a play
    road = [(NOW, _copy(0)) for _ in range(chance.randint(1, 4))]
    row = _row(0)
    for step in range(400):
        road.sort(key=lambda one: one[0])
        now, copy = road.pop(0)
        turn = turn_of(copy, [row], now)
        if isinstance(turn, Later):
            road.append((now + max(turn.delay, AT_ONCE), turn.envelope))
        elif isinstance(turn, Now):
            is_tried = step > 200 or chance.random() < 0.5  # else its destination rests
            attempts = turn.envelope.attempts + is_tried
            attempts_known = max(row.attempts, attempts)
            wait = HOUR if is_tried else timedelta(minutes=1)
            row = Open(n=0, attempts=attempts_known, next_attempt_at=now + wait, warned=False)
            if step < 100 and chance.random() < 0.2:  # it dies: the broker has the old copy
                road.append((now, copy))
            else:
                onward = msgspec.structs.replace(turn.envelope, attempts=attempts)
                road.append((now + wait, onward))
                if step < 100 and chance.random() < 0.2:  # the broker is rebuilt beside it
                    road.append((now, onward))
        assert road, "a recipient that is open always has a copy"
    assert len(road) == 1
    assert row.attempts > 10
