"""From verdicts to the ledger, the sender and the broker."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from msgspec.structs import replace

from delivery_remote.handover import Said
from delivery_remote.next_hop import Rest
from delivery_remote.settlement import decide, ended, put_off
from delivery_remote.trouble import Later, Never, Taken
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.handling import Handling, Notify
from posthouse.mail.ids import new_id
from posthouse.mail.outcome import Bounced, Deferred, Relayed
from posthouse.mail.status import Status
from posthouse.mail.timetable import Timetable
from posthouse.runtime.settlement import Decision

MINUTES = timedelta(minutes=1)
TABLE = Timetable(
    delays=(5 * MINUTES, 15 * MINUTES), warn_after=timedelta(hours=4), give_up=timedelta(days=5)
)
TAKEN = Said(Taken("250 ok"), "mx [1.1.1.1]")
NEVER = Said(Never(Status(550, (5, 1, 1)), "550 unknown"), "mx [1.1.1.1]")
SECONDS = timedelta(seconds=1)
LATER = Said(Later(Status(451, (4, 4, 1)), "Connection refused"), "mx [1.1.1.1]")


def _put_off(
    envelope: Remote, left: timedelta = 25 * SECONDS, age: timedelta = MINUTES
) -> Decision[Remote]:
    rest = Rest("b.test", left, Later(Status(451, (4, 4, 1)), "Connection refused"))
    return put_off(envelope, rest, TABLE, envelope.arrived + age)


def _envelope(count: int = 1, *, attempts: int = 0, warned: bool = False) -> Remote:
    people = tuple(InboundRecipient(n=n, address=f"u{n}@b.test") for n in range(count))
    return Remote(
        id=new_id(), sender="anna@a.test", size=1, domain="b.test", recipients=people,
        attempts=attempts, warned=warned,
    )  # fmt: skip


def _decided(envelope: Remote, *said: Said, age: timedelta = MINUTES) -> Decision[Remote]:
    return decide(envelope, dict(enumerate(said)), TABLE, envelope.arrived + age)


def test_what_is_relayed_is_done() -> None:
    decision = _decided(_envelope(), TAKEN)

    assert decision.outcomes == (Relayed(n=0, host="mx [1.1.1.1]", reply="250 ok"),)
    assert decision.delay is None
    assert decision.onward is None
    assert decision.failed == decision.late == ()


def test_what_will_never_work_is_told_to_the_sender() -> None:
    decision = _decided(_envelope(), NEVER)

    assert isinstance(decision.outcomes[0], Bounced)
    assert [(each.address, each.action) for each in decision.failed] == [("u0@b.test", "failed")]
    assert decision.onward is None


def test_only_those_who_wait_travel_on() -> None:
    decision = _decided(_envelope(3), TAKEN, LATER, NEVER)

    assert decision.onward is not None
    assert [each.n for each in decision.onward.recipients] == [1]
    assert decision.onward.attempts == decision.attempts == 1
    assert decision.delay == 5 * MINUTES


def test_pauses_grow_and_the_last_repeats() -> None:
    delays = [_decided(_envelope(attempts=n), LATER).delay for n in range(4)]

    assert delays == [5 * MINUTES, 15 * MINUTES, 15 * MINUTES, 15 * MINUTES]


def test_the_ledger_knows_when_it_is_tried_again() -> None:
    envelope = _envelope()
    (outcome,) = _decided(envelope, LATER).outcomes

    assert isinstance(outcome, Deferred)
    assert outcome.until == envelope.arrived + 6 * MINUTES


def test_a_delay_is_told_once() -> None:
    late = _decided(_envelope(), LATER, age=timedelta(hours=5))
    told = _decided(_envelope(warned=True), LATER, age=timedelta(hours=5))

    assert [each.action for each in late.late] == ["delayed"]
    assert late.onward is not None
    assert late.onward.warned
    assert told.late == ()
    assert told.onward is not None
    assert told.onward.warned


def test_no_delay_is_told_of_what_arrived_or_failed() -> None:
    decision = _decided(_envelope(2), TAKEN, NEVER, age=timedelta(hours=5))

    assert decision.late == ()


def test_when_time_has_run_out_the_last_reason_is_told() -> None:
    decision = _decided(_envelope(), LATER, age=timedelta(days=5))

    (outcome,) = decision.outcomes
    assert isinstance(outcome, Bounced)
    assert outcome.reply == "time ran out: Connection refused"
    assert decision.delay is None
    assert decision.failed[0].status.dotted == "4.4.1"
    assert decision.late == ()


def test_what_is_put_off_counts_no_attempt_and_says_why() -> None:
    envelope = _envelope(attempts=3)
    decision = _put_off(envelope)

    (outcome,) = decision.outcomes
    assert isinstance(outcome, Deferred)
    over = f"{envelope.arrived + MINUTES + 25 * SECONDS:%H:%M:%S}"
    assert outcome.reply == f"not tried: b.test rests until {over} after: Connection refused"
    assert outcome.host == ""
    assert outcome.until == envelope.arrived + MINUTES + 30 * SECONDS
    assert decision.attempts == 3
    assert decision.onward == envelope
    assert decision.delay == 30 * SECONDS


def test_what_is_put_off_waits_until_the_rest_is_over_nearly() -> None:
    lefts = [1, 5, 20, 50, 170, 240, 300]
    delays = [_put_off(_envelope(), left * SECONDS).delay for left in lefts]

    assert delays == [each * SECONDS for each in (5, 5, 30, 60, 60, 300, 300)]


def test_old_mail_comes_round_less_often_but_never_less_than_by_its_timetable() -> None:
    ages = [timedelta(hours=hours) for hours in (1, 2, 100)]
    delays = [_put_off(_envelope(attempts=9), age=age).delay for age in ages]

    assert delays == [5 * MINUTES, 5 * MINUTES, 15 * MINUTES]


def test_what_is_put_off_is_warned_of_and_given_up_by_its_age() -> None:
    late = _put_off(_envelope(), age=timedelta(hours=5))
    over = _put_off(_envelope(), age=timedelta(days=5))

    assert [each.action for each in late.late] == ["delayed"]
    assert late.onward is not None
    assert late.onward.warned
    assert over.delay is None
    assert isinstance(over.outcomes[0], Bounced)
    assert over.failed[0].reply.startswith("time ran out: not tried: b.test rests until")
    assert over.failed[0].reply.endswith("after: Connection refused")


def _by(envelope: Remote, by: str, *, warned: bool = False) -> Remote:
    return replace(envelope, handling=Handling(by=by), warned=warned)


def test_a_pause_does_not_last_beyond_the_deadline() -> None:
    for by in ("120;R", "120;N"):
        decision = _decided(_by(_envelope(), by), LATER, age=MINUTES)

        assert decision.delay == MINUTES
        assert decision.late == ()


def test_what_is_overdue_in_mode_r_is_returned_and_in_mode_n_told_once() -> None:
    envelope = _envelope()
    late = envelope.arrived + 120 * SECONDS

    returned = ended(_by(envelope, "120;R"), TABLE, late)
    told = ended(_by(envelope, "120;N"), TABLE, late)

    assert returned is not None
    assert [fate.status.dotted for fate in returned.failed] == ["5.4.7"]
    assert returned.onward is None
    assert told is not None
    assert [(fate.action, fate.status.dotted) for fate in told.late] == [("delayed", "4.4.7")]
    assert (told.attempts, told.failed) == (0, ())
    assert told.onward is not None
    assert ended(told.onward, TABLE, late) is None


@pytest.mark.parametrize(
    ("by", "warned"),
    [("", False), ("121;R", False), ("121;N", False), ("120;N", True), ("-1;N", False)],
)
def test_what_is_not_overdue_or_was_told_goes_on(by: str, *, warned: bool) -> None:
    envelope = _by(_envelope(), by, warned=warned)

    assert ended(envelope, TABLE, envelope.arrived + 120 * SECONDS) is None


def test_who_says_when_to_be_told_is_not_told_at_the_usual_time() -> None:
    late = timedelta(hours=5)

    assert _decided(_by(_envelope(), "36000;N"), LATER, age=late).late == ()
    assert len(_decided(_by(_envelope(), "36000;R"), LATER, age=late).late) == 1
    assert len(_decided(_by(_envelope(), "-1;N"), LATER, age=late).late) == 1


@pytest.mark.parametrize(
    ("by", "on", "keeps_time", "told"),
    [
        ("60;N", "", True, 0),
        ("60;N", "", False, 1),  # RFC 2852 §4.1.4.2
        ("60;N", "FAILURE", False, 1),
        ("60;N", "NEVER", False, 0),
        ("-1;N", "", False, 0),  # who handed it to us told
        ("-1;NT", "", False, 1),
        ("60;RT", "", True, 1),
        ("60;NT", "NEVER", True, 0),
        ("60;R", "", True, 0),
    ],
)
def test_who_wants_the_trail_hears_of_the_handing_on(
    by: str, on: str, *, keeps_time: bool, told: int
) -> None:
    people = (InboundRecipient(n=0, address="u@b.test", notify=Notify(on=on)),)
    envelope = replace(_by(_envelope(), by), recipients=people)

    decision = _decided(envelope, dataclasses.replace(TAKEN, tells=True, keeps_time=keeps_time))

    assert len(decision.relayed) == told


def test_delays_and_giving_up_count_from_the_release() -> None:
    held = replace(_envelope(), handling=Handling(hold="for;864000"))  # ten days

    decision = _decided(held, LATER, age=timedelta(days=10, minutes=1))

    assert isinstance(decision.outcomes[0], Deferred)
    assert decision.late == ()


def test_what_an_operator_returns_is_returned_whatever_its_deadline_says() -> None:
    envelope = replace(_by(_envelope(), "120;N"), verdict="not wanted here")

    decision = ended(envelope, TABLE, envelope.arrived + MINUTES)

    assert decision is not None
    assert decision.outcomes == (
        Bounced(n=0, status=Status(550, (5, 7, 1)), reply="not wanted here"),
    )
    assert [fate.reply for fate in decision.failed] == ["not wanted here"]
    assert (decision.delay, decision.onward) == (None, None)


def test_the_time_it_was_held_does_not_count_as_age() -> None:
    held = replace(_envelope(), paused=2 * 3600)
    age = TABLE.give_up + timedelta(hours=1)

    assert isinstance(_decided(_envelope(), LATER, age=age).outcomes[0], Bounced)
    assert isinstance(_decided(held, LATER, age=age).outcomes[0], Deferred)
    assert _decided(_envelope(), LATER, age=timedelta(hours=5)).late != ()
    assert _decided(held, LATER, age=timedelta(hours=5)).late == ()


def test_pauses_are_spread_by_chance_and_never_shorter_than_planned() -> None:
    table = dataclasses.replace(TABLE, jitter=0.1)
    envelope = _envelope()
    now = envelope.arrived + MINUTES

    pauses = [decide(envelope, {0: LATER}, table, now, chance).delay for chance in (0.0, 0.5, 1.0)]

    assert pauses == [5 * MINUTES, 5.25 * MINUTES, 5.5 * MINUTES]


def test_no_pause_is_spread_beyond_the_deadline() -> None:
    table = dataclasses.replace(TABLE, jitter=0.1)
    envelope = _by(_envelope(), "361;R")

    assert (
        decide(envelope, {0: LATER}, table, envelope.arrived + MINUTES, 1.0).delay == 301 * SECONDS
    )
