"""Rewritten senders: there and back, signed, and not for ever."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.srs import VALID_DAYS, Rewriter, looks_rewritten
from posthouse.mail.address import parse_address

TODAY = date(2026, 11, 22)
OURS = Rewriter(b"0123456789abcdef")
THEIRS = Rewriter(b"fedcba9876543210")


def rewritten(sender: str, by: Rewriter = OURS, domain: str = "example.test") -> str:
    made = by.forward(parse_address(sender), domain, TODAY)
    assert made is not None
    return made


def reversed_(address: str, today: date = TODAY, by: Rewriter = OURS) -> str | None:
    return by.reverse(parse_address(address), today)


def test_a_rewritten_sender_leads_back() -> None:
    made = rewritten("Eve@far.test")

    assert looks_rewritten(parse_address(made))
    assert reversed_(made) == "Eve@far.test"


def test_case_may_change_on_the_way() -> None:
    assert reversed_(rewritten("Eve@far.test").lower()) == "eve@far.test"


def test_a_sender_with_equal_signs_leads_back() -> None:
    assert reversed_(rewritten("bounce=to=x@far.test")) == "bounce=to=x@far.test"


def test_what_another_signed_or_somebody_changed_leads_nowhere() -> None:
    made = rewritten("eve@far.test")

    assert reversed_(made, by=THEIRS) is None
    assert reversed_(made.replace("eve", "bob")) is None
    assert reversed_("SRS0=x@example.test") is None
    assert reversed_("anna@example.test") is None


@pytest.mark.parametrize(("age", "leads_back"), [(0, True), (VALID_DAYS, True), (22, False)])
def test_it_ages(age: int, *, leads_back: bool) -> None:
    made = rewritten("eve@far.test")

    assert (reversed_(made, TODAY + timedelta(days=age)) is not None) is leads_back


def test_a_sender_rewritten_before_leads_back_to_the_first_forwarder() -> None:
    first = rewritten("eve@far.test", by=THEIRS, domain="first.test")
    second = rewritten(first)
    third = rewritten(second, by=THEIRS, domain="third.test")

    assert second.startswith("SRS1=")
    assert reversed_(second) == first
    assert reversed_(third, by=THEIRS) == first


def test_a_sender_too_long_or_quoted_is_not_rewritten() -> None:
    for sender in (f"{'x' * 60}@far.test", '"a b"@far.test'):
        assert OURS.forward(parse_address(sender), "example.test", TODAY) is None


@given(st.from_regex(r"[a-zA-Z0-9=+._-]{1,20}", fullmatch=True))
def test_any_sender_that_is_rewritten_leads_back(local: str) -> None:
    try:
        sender = parse_address(f"{local}@far.test")
    except ValueError:
        return
    made = OURS.forward(sender, "example.test", TODAY)
    if made is not None and not looks_rewritten(sender):
        assert reversed_(made) == str(sender)
