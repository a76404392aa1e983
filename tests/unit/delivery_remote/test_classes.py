"""The class of a mail: the most specific recipient, then the sender, then everybody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery_remote.classes import Classes
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.ids import new_id
from posthouse.mail.timetable import Timetable
from posthouse.storage.timetables import ClassTimetable

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
USUAL = Timetable(delays=(5 * MINUTE,), warn_after=4 * HOUR, give_up=5 * DAY, jitter=0.1)
BOUNCES = Timetable(delays=(5 * MINUTE,), warn_after=None, give_up=DAY, jitter=0.1)


def _table(of: str, days: int) -> ClassTimetable:
    return ClassTimetable(of=of, delays=(HOUR,), warn_after=2 * HOUR, give_up=days * DAY)


def _envelope(domain: str, sender: str = "anna@ours.test") -> Remote:
    to = (InboundRecipient(n=0, address=f"bert@{domain}"),)
    return Remote(id=new_id(), sender=sender, size=1, domain=domain, recipients=to)


def _classes(*tables: ClassTimetable) -> Classes:
    classes = Classes(usual=USUAL, bounces=BOUNCES)
    classes.learn(tables)
    return classes


SET = (
    _table("to:far.test", 1),
    _table("to:.far.test", 2),
    _table("from:@ours.test", 3),
    _table("from:list@ours.test", 4),
    _table("to:*", 6),
)


@pytest.mark.parametrize(
    ("domain", "sender", "days"),
    [
        ("far.test", "list@ours.test", 1),
        ("a.b.far.test", "list@ours.test", 2),
        ("else.test", "List@OURS.test", 4),
        ("else.test", "anna@ours.test", 3),
        ("else.test", "anna@other.test", 6),
    ],
)
def test_the_most_specific_class_counts(domain: str, sender: str, days: int) -> None:
    assert _classes(*SET).of(_envelope(domain, sender)).give_up == days * DAY


def test_what_has_no_class_follows_the_settings() -> None:
    classes = _classes(_table("to:far.test", 1))

    assert classes.of(_envelope("else.test")) is USUAL
    assert classes.of(_envelope("else.test", "")) is BOUNCES
    assert _classes().of(_envelope("far.test")) is USUAL


def test_reports_are_given_up_as_soon_as_ever_and_nobody_is_warned() -> None:
    slow, quick = (_classes(_table("to:far.test", days)) for days in (9, 1))

    assert slow.of(_envelope("far.test", "")).give_up == DAY
    assert slow.of(_envelope("far.test", "")).warn_after is None
    assert quick.of(_envelope("far.test", "")).delays == (HOUR,)


def test_a_class_may_be_that_of_reports() -> None:
    assert _classes(_table("from:<>", 1)).of(_envelope("far.test", "")).delays == (HOUR,)


def test_pauses_become_wait_queues_and_are_spread_as_all_are() -> None:
    odd = ClassTimetable(of="to:*", delays=(7 * MINUTE, 50 * MINUTE), warn_after=None, give_up=DAY)

    table = _classes(odd).of(_envelope("far.test"))

    assert table.delays == (5 * MINUTE, HOUR)
    assert (table.jitter, table.warn_after) == (0.1, None)
