"""What filing's answers lead to: waiting, warning, giving up, and never anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_local.deliver import prefix_of
from delivery_local.settlement import decide, unknown
from posthouse.mail.envelope import Local, LocalRecipient
from posthouse.mail.ids import moment_of, new_id
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.timetable import Timetable
from posthouse.storage.filing import Filed, Refused, Result

ARRIVED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TIMETABLE = Timetable(
    delays=(timedelta(minutes=5), timedelta(hours=1)),
    warn_after=timedelta(hours=4),
    give_up=timedelta(days=5),
)
FILED = Filed(account=1, mailbox=2, folder="INBOX", uid=3, modseq=4)


def _envelope(count: int, **more: object) -> Local:
    ident = new_id(int(ARRIVED.timestamp() * 1000))
    assert moment_of(ident) == ARRIVED
    recipients = tuple(
        LocalRecipient(n=n, address=f"r{n}@example.test", account=n) for n in range(count)
    )
    return Local(id=ident, sender="bert@example.test", size=1, recipients=recipients, **more)  # type: ignore[arg-type]


def test_what_was_filed_or_settled_needs_nothing_more() -> None:
    results: dict[int, Result] = {0: FILED, 1: Refused.SETTLED}

    decision = decide(_envelope(2), results, TIMETABLE, ARRIVED)

    assert (decision.outcomes, decision.onward, decision.delay) == ((), None, None)
    assert (decision.failed, decision.late, unknown(results)) == ((), (), ())


def test_a_full_mailbox_waits_alone_with_its_attempt_counted() -> None:
    decision = decide(
        _envelope(3, attempts=1), {0: FILED, 1: Refused.OVER_QUOTA, 2: FILED}, TIMETABLE, ARRIVED
    )

    [outcome] = decision.outcomes
    assert isinstance(outcome, Deferred)
    assert (outcome.n, outcome.until, str(outcome.status)) == (
        1,
        ARRIVED + timedelta(hours=1),
        "452 4.2.2",
    )
    assert decision.delay == timedelta(hours=1)
    assert decision.onward is not None
    assert [each.n for each in decision.onward.recipients] == [1]
    assert (decision.onward.attempts, decision.onward.warned) == (2, False)
    assert decision.late == ()


def test_the_sender_is_warned_once() -> None:
    late = ARRIVED + timedelta(hours=5)

    first = decide(_envelope(1), {0: Refused.OVER_QUOTA}, TIMETABLE, late)
    second = decide(_envelope(1, warned=True), {0: Refused.OVER_QUOTA}, TIMETABLE, late)

    assert [failure.action for failure in first.late] == ["delayed"]
    assert first.onward is not None
    assert first.onward.warned
    assert second.late == ()


def test_a_mailbox_that_stays_full_bounces() -> None:
    decision = decide(_envelope(1), {0: Refused.OVER_QUOTA}, TIMETABLE, ARRIVED + timedelta(days=5))

    [outcome] = decision.outcomes
    assert isinstance(outcome, Bounced)
    assert str(outcome.status) == "552 5.2.2"
    assert [failure.address for failure in decision.failed] == ["r0@example.test"]
    assert decision.onward is None


def test_an_account_that_is_gone_bounces_at_once() -> None:
    decision = decide(_envelope(1), {0: Refused.NO_ACCOUNT}, TIMETABLE, ARRIVED)

    [outcome] = decision.outcomes
    assert isinstance(outcome, Bounced)
    assert str(outcome.status) == "550 5.1.1"


def test_what_the_ledger_does_not_know_is_named() -> None:
    results: dict[int, Result] = {0: FILED, 1: Refused.UNKNOWN}

    assert decide(_envelope(2), results, TIMETABLE, ARRIVED).outcomes == ()
    assert unknown(results) == (1,)


@given(
    st.lists(st.sampled_from([FILED, *Refused]), min_size=1, max_size=6),
    st.timedeltas(timedelta(), timedelta(days=9)),
    st.integers(0, 40),
    st.booleans(),
)
def test_every_recipient_ends_or_waits_and_none_does_both(
    results: list[Result],
    age: timedelta,
    attempts: int,
    warned: bool,  # noqa: FBT001 - drawn
) -> None:
    envelope = _envelope(len(results), attempts=attempts, warned=warned)

    decision = decide(envelope, dict(enumerate(results)), TIMETABLE, ARRIVED + age)

    waiting = {each.n for each in decision.onward.recipients} if decision.onward else set()
    deferred = {each.n for each in decision.outcomes if isinstance(each, Deferred)}
    assert waiting == deferred
    assert bool(waiting) == (decision.delay is not None)
    told = {each.n for each in decision.outcomes} | set(unknown(dict(enumerate(results))))
    rest = {n for n, result in enumerate(results) if n not in told}
    assert all(isinstance(results[n], Filed) or results[n] is Refused.SETTLED for n in rest)
    if age >= TIMETABLE.give_up and Refused.LATE not in results:  # that is not a failed attempt
        assert not waiting


def test_whose_sender_is_told_first_waits_shortly_and_that_is_no_attempt() -> None:
    decision = decide(_envelope(1, attempts=3), {0: Refused.LATE}, TIMETABLE, ARRIVED)

    [outcome] = decision.outcomes
    assert isinstance(outcome, Deferred)
    assert str(outcome.status) == "451 4.4.7"
    assert (decision.attempts, decision.delay) == (3, timedelta(seconds=5))


@pytest.mark.parametrize(
    ("sender", "address", "prefix"),
    [
        ("", "a@b.test", b"Return-Path: <>\r\nDelivered-To: a@b.test\r\n"),
        ("é@b.test", "a@b.test", "Return-Path: <é@b.test>\r\nDelivered-To: a@b.test\r\n".encode()),
        ("x>\r\nX: y", "a\n@b", b"Return-Path: <x> X: y>\r\nDelivered-To: a @b\r\n"),
        ("\udc80\0@b", "a@b", b"Return-Path: <?@b>\r\nDelivered-To: a@b\r\n"),
    ],
)
def test_the_prefix_is_two_fields_whatever_the_addresses_hold(
    sender: str, address: str, prefix: bytes
) -> None:
    assert prefix_of(sender, address) == prefix
