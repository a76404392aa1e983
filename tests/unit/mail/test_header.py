"""Header fields: what is read from the street, and what we write ourselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.header import fields, first, fold, format_date, header_end, unfold

LETTER = (
    b"Received: from a\r\n\tby b;\r\n Sat, 1 Jan 2000 00:00:00 +0000\r\n"
    b"From : Anna <anna@example.test>\r\n"
    b"this line is none\r\n"
    b"SUBJECT: one\r\nsubject: two\r\n\r\nTo: not in the header\r\n"
)


def test_fields_are_found_in_order_with_their_folding() -> None:
    assert list(fields(LETTER)) == [
        (b"Received", b" from a\r\n\tby b;\r\n Sat, 1 Jan 2000 00:00:00 +0000"),
        (b"From", b" Anna <anna@example.test>"),
        (b"SUBJECT", b" one"),
        (b"subject", b" two"),
    ]


def test_the_first_field_is_found_by_any_case_and_unfolded() -> None:
    assert first(LETTER, b"received") == "from a\tby b; Sat, 1 Jan 2000 00:00:00 +0000"
    assert first(LETTER, b"Subject") == "one"
    assert first(LETTER, b"To") == ""


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"\r\nTo: body\r\n", ""),
        (b"A: b\n\nTo: body\n", ""),
        (b"A: b\r\n To: folded\r\n\r\nTo: body", ""),
        (b"X-To: no\r\nto \t: yes\r\n\r\n", "yes"),
        (b"To:", ""),
        (b"To: a\r\n\tb\r\nTo: c", "a\tb"),
    ],
)
def test_a_field_is_found_in_the_header_and_nowhere_else(header: bytes, value: str) -> None:
    assert first(header, b"To") == value


@given(st.lists(st.sampled_from([b"To: a", b"X: b", b" c", b":", b"To", b"\r\n", b"\n"])))
def test_the_first_field_is_the_first_of_the_fields(pieces: list[bytes]) -> None:
    header = b"".join(pieces)
    all_of_them = [unfold(value).decode() for name, value in fields(header) if name == b"To"]

    assert first(header, b"to") == (all_of_them[0] if all_of_them else "")


def test_the_header_ends_behind_its_empty_line() -> None:
    assert LETTER[header_end(LETTER) :] == b"To: not in the header\r\n"
    assert header_end(b"\r\nbody") == 2
    assert header_end(b"A: b\r\n") == 6


def test_a_long_value_is_folded_and_reads_the_same() -> None:
    value = " ".join(f"word{n}" for n in range(60))

    folded = fold("References", value)

    assert all(len(line) <= 78 for line in folded.split(b"\r\n"))
    assert unfold(folded.partition(b":")[2]).replace(b"\t", b" ").decode() == value


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_no_value_can_end_the_header_or_begin_a_field(value: str) -> None:
    folded = fold("X-Value", value)

    assert len(list(fields(folded + b"\r\n"))) == 1
    assert folded.endswith(b"\r\n")
    assert b"\r\n\r\n" not in folded


@given(st.binary(max_size=300))
def test_any_octets_are_read_without_an_error(octets: bytes) -> None:
    for name, value in fields(octets):
        assert name
        assert b"\n" not in unfold(value) or b"\n" in value


@pytest.mark.parametrize("hours", [-11, 0, 5, 14])
def test_a_date_reads_back_as_the_same_moment(hours: int) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=hours)))

    assert parsedate_to_datetime(format_date(moment)) == moment


def test_a_date_is_written_as_rfc_5322_has_it() -> None:
    assert (
        format_date(datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC))
        == "Sun, 22 Nov 2026 01:02:03 +0000"
    )
