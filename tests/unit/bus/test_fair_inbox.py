"""Whose envelope a consumer begins next, and what is too much."""

from __future__ import annotations

from typing import cast

import pytest

from posthouse.bus import inbox
from posthouse.bus.inbox import MAX_SECONDS, Delivery, FairInbox
from posthouse.bus.session import Session
from posthouse.bus.wire import encode
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.ids import new_id

HERE, ELSEWHERE = cast(Session, "this session"), cast(Session, "another one")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def _delivery(name: str, domain: str, sender: str, session: Session = HERE) -> Delivery:
    envelope = Remote(
        id=new_id(),
        sender=sender,
        size=1,
        domain=domain,
        recipients=(InboundRecipient(n=0, address=f"x@{domain}"),),
    )
    return Delivery(
        session=session,
        tag=1,
        lines=(encode(envelope),),
        headers={},
        message_id=name,
        is_again=False,
    )


def _add(box: FairInbox, *words: str, session: Session = HERE) -> None:
    """Let messages wait: ``a>x`` is one from a@a.test to x.test."""
    for n, word in enumerate(words):
        sender, _, domain = word.partition(">")
        name = f"{word}{n}"
        box.add(_delivery(name, f"{domain}.test", f"{sender}@{sender}.test", session))


def _begin(box: FairInbox, count: int = 100) -> list[str]:
    return [one.message_id for one in _begun(box, count)]


def _begun(box: FairInbox, count: int = 100) -> list[Delivery]:
    begun: list[Delivery] = []
    while box.is_open and len(begun) < count:
        begun += box.next(1)
    return begun


def test_a_single_message_for_another_hop_is_soon_next_behind_many(clock: _Clock) -> None:
    box = FairInbox(100, clock)
    _add(box, *["bulk>dead"] * 50, "bulk>live")

    assert "bulk>live50" in _begin(box, 4)


def test_a_single_message_of_another_sender_is_soon_next_behind_many_hops(clock: _Clock) -> None:
    box = FairInbox(100, clock)
    _add(box, *[f"bulk>hop{n}" for n in range(50)], "anna>hop50")

    assert "anna>hop5050" in _begin(box, 4)


def test_of_one_hop_senders_take_turns_and_of_each_the_oldest_goes_first(clock: _Clock) -> None:
    box = FairInbox(100, clock)
    _add(box, "a>x", "a>x", "a>x", "b>x")

    assert _begin(box)[:2] in (["a>x0", "a>x1"], ["a>x0", "b>x3"])
    assert len(box) == 0


def test_a_hop_with_its_share_in_hand_is_passed_over_until_one_has_ended(clock: _Clock) -> None:
    box = FairInbox(2, clock)
    _add(box, "a>x", "a>x", "a>x", "a>x", "b>y")

    begun = _begun(box)

    assert [one.message_id for one in begun] == ["a>x0", "a>x1", "b>y4"]
    assert not box.is_open
    assert len(box) == 2

    box.ended(begun[0])

    assert _begin(box) == ["a>x2"]


def test_nothing_is_surplus_as_long_as_there_is_room_and_time(clock: _Clock) -> None:
    box = FairInbox(1, clock)
    _add(box, "a>x", "a>x")

    clock.now = MAX_SECONDS

    assert box.surplus() == []
    assert not box.is_full


def test_what_waits_for_too_long_is_surplus(clock: _Clock) -> None:
    box = FairInbox(1, clock)
    _add(box, "a>x", "a>x")
    clock.now = 1.0
    _add(box, "b>y")

    clock.now = MAX_SECONDS + 0.5

    assert [one.message_id for one in box.surplus()] == ["a>x0", "a>x1"]
    assert _begin(box) == ["b>y0"]


def test_of_too_much_the_newest_of_whoever_has_most_at_the_longest_line_is_surplus(
    clock: _Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_GATHERED", 4)
    box = FairInbox(1, clock)
    _add(box, "a>x", "a>x", "b>x", "a>x", "a>y", "c>y")

    assert box.is_full
    assert [one.message_id for one in box.surplus()] == ["a>x3", "a>x1"]
    assert box.surplus() == []
    assert len(box) == 4


def test_a_whole_line_may_be_surplus(clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_GATHERED", 0)
    box = FairInbox(1, clock)
    _add(box, "a>x", "b>x")

    assert len(box.surplus()) == 2
    assert not box.is_open


def test_what_came_in_a_session_that_is_over_is_forgotten(clock: _Clock) -> None:
    box = FairInbox(1, clock)
    _add(box, "a>x", "a>x", session=ELSEWHERE)
    (begun,) = box.next(1)
    _add(box, "b>x")

    box.drop(ELSEWHERE)
    box.ended(begun)

    assert _begin(box) == ["b>x0"]
    assert len(box) == 0


def test_a_message_that_cannot_be_read_waits_like_others(clock: _Clock) -> None:
    box = FairInbox(1, clock)
    unreadable = Delivery(
        session=HERE,
        tag=1,
        lines=(b"{",),
        headers={},
        message_id="bad",
        is_again=False,
    )
    box.add(unreadable)

    assert box.next(1) == [unreadable]
