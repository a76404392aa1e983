"""When a mail may start and must have arrived (RFC 4865 §3, RFC 2852 §4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.handling import Handling
from posthouse.mail.ids import new_id
from posthouse.mail.schedule import by_value, deadline_of, hold_for, hold_until, release_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("given", "hold"),
    [
        ("2026-11-22T13:00:00Z", "until;2026-11-22T13:00:00Z"),
        ("2026-11-22t13:00:00z", "until;2026-11-22T13:00:00Z"),
        ("2026-11-22T13:00:00+00:00", "until;2026-11-22T13:00:00Z"),
        ("2026-11-22T12:59:59.25Z", "until;2026-11-22T13:00:00Z"),
    ],
)
def test_a_date_is_kept_in_utc_and_never_comes_early(given: str, hold: str) -> None:
    assert hold_until(given) == hold
    assert release_of(hold, NOON) == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-11-22", "2026-11-22T13:00:00", "2026-11-22 13:00:00Z",
             "2026-11-31T13:00:00Z", "9999-12-31T23:59:59.9Z",
             "2026-11-22T14:00:00+01:00",  # RFC 4865 §3 (4): normalized to UTC
             "٢026-11-22T13:00:00Z"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no date-time"):
        hold_until(text)


@pytest.mark.parametrize("text", ["", "0", "060", "-1", "1.5", "1234567890", "٣"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no interval"):
        hold_for(text)


@pytest.mark.parametrize("text", ["", "60", "60;", "60;X", "60;RX", "60,R", "0;R", "-1;R", "+0;R",
                                  "1234567890;N", "6 0;N", "٣;N"])  # fmt: skip
def test_what_is_no_by_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no by-value"):
        by_value(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_and_what_was_read_can_be_reckoned_with(text: str) -> None:
    for read, reckon in ((hold_for, release_of), (hold_until, release_of), (by_value, deadline_of)):
        try:
            kept = read(text)
        except ValueError:
            continue
        assert reckon(kept, NOON) is not None


def test_an_interval_counts_from_the_arrival_and_a_date_that_is_over_holds_nothing() -> None:
    assert release_of(hold_for("60"), NOON) == NOON + 60 * SECOND
    assert release_of(hold_until("0002-01-01T00:00:00Z"), NOON) == NOON
    assert release_of("", NOON) == NOON


@pytest.mark.parametrize(
    ("by", "after", "told"),
    [
        ("60;R", 20, "40;R"),
        ("60;RT", 20.5, "39;RT"),
        ("60;N", 59.9, "1;N"),
        ("60;NT", 75, "1;NT"),  # not before its sender was told
        ("-5;N", 10, "-15;N"),
        ("-999999999;N", 10, "-999999999;N"),
    ],
)
def test_the_next_server_is_told_what_is_left(by: str, after: float, told: str) -> None:
    deadline = deadline_of(by_value(by), NOON)

    assert deadline is not None
    assert deadline.by_value(NOON + after * SECOND) == told


def test_give_up_times_count_from_the_release() -> None:
    mail = Inbound(
        id=new_id(), sender="a@b.test", size=1, recipients=(InboundRecipient(n=0, address="x@y.z"),),
        handling=Handling(hold="for;600"),
    )  # fmt: skip

    assert mail.released == mail.arrived + 600 * SECOND
    assert mail.deadline is None
