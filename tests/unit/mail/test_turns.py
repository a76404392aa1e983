"""Whose turn it is in a line, and who gives way when it is full."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.turns import Line, Party

ANNA, BERT = Party.of("anna@a.test"), Party.of("bert@a.test")
CARL = Party.of("carl@c.test")


def _line(*parties: Party) -> Line[str]:
    line: Line[str] = Line()
    for n, party in enumerate(parties):
        line.join(party, f"{party.sender.partition('@')[0]}{n}")
    return line


def _all(line: Line[str]) -> list[str]:
    found = []
    while (ticket := line.next()) is not None:
        found.append(ticket)
    return found


def test_tenants_take_turns_and_in_each_its_senders_and_of_each_the_oldest_goes_first() -> None:
    line = _line(ANNA, ANNA, ANNA, BERT, CARL)

    assert _all(line) == ["anna0", "carl4", "bert3", "anna1", "anna2"]
    assert len(line) == 0


def test_a_domain_in_capitals_is_the_same_tenant() -> None:
    assert Party.of("Anna@A.TEST").tenant == ANNA.tenant


def test_who_has_nothing_yet_gets_the_place_of_the_newest_of_who_has_most() -> None:
    line = _line(ANNA, ANNA, ANNA)

    assert line.yielding_to(CARL) == ANNA
    assert line.newest_of(ANNA) == "anna2"
    assert _all(line) == ["anna0", "anna1"]


def test_a_sender_with_little_gets_a_place_of_its_own_tenants_largest() -> None:
    line = _line(ANNA, ANNA, BERT)

    assert line.yielding_to(ANNA) is None
    assert line.yielding_to(BERT) is None  # it would then have as much
    line.join(ANNA, "more")
    assert line.yielding_to(BERT) == ANNA


def test_nobody_gives_way_to_who_would_have_as_much() -> None:
    line = _line(ANNA, ANNA, CARL)

    assert line.yielding_to(CARL) is None
    assert line.yielding_to(ANNA) is None
    assert Line[str]().yielding_to(ANNA) is None


def test_who_leaves_is_not_called_and_can_leave_once() -> None:
    line = _line(ANNA, BERT)

    assert line.leave(ANNA, "anna0")
    assert not line.leave(ANNA, "anna0")
    assert not line.leave(CARL, "carl")
    assert _all(line) == ["bert1"]


PARTIES = st.lists(
    st.builds(lambda t, s: Party.of(f"{s}@{t}"), st.sampled_from("abc"), st.sampled_from("xy"))
)


@given(PARTIES)
def test_all_are_called_once_each_of_a_sender_in_order(parties: list[Party]) -> None:
    line: Line[tuple[Party, int]] = Line()
    for n, party in enumerate(parties):
        line.join(party, (party, n))

    called = []
    while (ticket := line.next()) is not None:
        called.append(ticket)

    assert Counter(party for party, _ in called) == Counter(parties)
    for sender in set(parties):
        numbers = [n for party, n in called if party == sender]
        assert numbers == sorted(numbers)


@given(PARTIES)
def test_of_two_that_wait_none_is_called_twice_before_the_other(parties: list[Party]) -> None:
    line: Line[tuple[str, int]] = Line()
    for n, party in enumerate(parties):
        line.join(party, (party.tenant, n))
    left = Counter(party.tenant for party in parties)

    while True:
        everybody = {tenant for tenant, count in left.items() if count}
        turn = [line.next() for _ in everybody]
        if not everybody:
            break
        called = {ticket[0] for ticket in turn if ticket}
        assert called == everybody
        left.subtract(called)
