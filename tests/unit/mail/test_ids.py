"""Ids tell their day (RFC 9562 §5.7)."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.ids import day_of, moment_of, new_id, object_key

NOON_MS = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)


@given(st.integers(min_value=0, max_value=253402300799000))
def test_an_id_tells_its_millisecond(now_ms: int) -> None:
    ident = new_id(now_ms)

    assert ident.version == 7
    assert int(moment_of(ident).timestamp() * 1000 + 0.5) == now_ms


def test_two_ids_of_one_millisecond_differ() -> None:
    assert new_id(NOON_MS) != new_id(NOON_MS)


def test_the_object_lies_under_its_day() -> None:
    ident = new_id(NOON_MS)

    assert day_of(ident) == date(2026, 11, 22)
    assert object_key(ident) == f"mail/2026/11/22/{ident}.eml"
