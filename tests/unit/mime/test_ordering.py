"""What messages are sorted and threaded by."""

from __future__ import annotations

import time

import pytest

from posthouse.mime.ordering import (
    base_subject,
    collated,
    message_ids,
    ordering_of,
    sent_day,
    sent_time,
)


@pytest.mark.parametrize(
    ("subject", "base", "is_reply"),
    [
        ("plain", "plain", False),
        ("Re: [foo] Re: hello (fwd)", "hello", True),
        ("[fwd: Re: x]", "x", True),
        ("[Fwd: a (fwd) ]", "a", True),
        ("Fwd: [a] [b]", "[b]", True),
        ("[only]", "[only]", False),
        ("[list] news", "news", False),
        ("Re:", "", True),
        ("re [2]: hi", "hi", True),
        ("  FW :\t x  y ", "x y", True),
        ("Regards: x", "Regards: x", False),
        ("(fwd)(FWD)", "", True),
        ("[fwd:", "[fwd:", False),
    ],
)
def test_the_base_subject(subject: str, base: str, is_reply: bool) -> None:  # noqa: FBT001
    assert base_subject(subject) == (base, is_reply)


@pytest.mark.parametrize(
    ("date", "moment", "day"),
    [
        (b"31 Dec 2000 16:01:33 -0800", 978307293, "2000-12-31"),
        (b"Mon, 1 Jan 2001 00:01:33 +0000", 978307293, "2001-01-01"),
        (b"1 Jan 2001 25:01:33 +0000", 978307200, "2001-01-01"),
        (b"31 Feb 2020 23:00:00 -0800", None, "None"),
        (b'\xff"', None, "None"),
        (b"", None, "None"),
    ],
)
def test_the_date_counts_in_utc_and_the_day_as_it_is_written(
    date: bytes, moment: int | None, day: str
) -> None:
    assert sent_time(date) == moment
    assert str(sent_day(date)) == day


def test_message_ids_are_equal_however_they_are_quoted() -> None:
    plain = message_ids(b"<01KF8JCEOCBS0045PS@xxx.yyy.com>")

    assert message_ids(b'<"01KF8JCEOCBS0045PS"@xxx.yyy.com>') == plain
    assert message_ids(b"<01kf8jceocbs0045ps@xxx.yyy.com>") != plain
    assert len(message_ids(b"no <id> <a@b>\t<c@d> <e@f")) == 2


def test_references_come_before_in_reply_to() -> None:
    header = b"In-Reply-To: <a@b> <c@d>\r\n"
    one = ordering_of(header + b"\r\n")
    other = ordering_of(header + b"References: <x@y>\r\n <c@d>\r\n\r\n")

    assert one.references == tuple(message_ids(b"<a@b>"))
    assert other.references == tuple(message_ids(b"<x@y><c@d>"))
    assert ordering_of(header + b"References: none\r\n\r\n").references == one.references


def test_addresses_are_sorted_by_local_part_or_by_what_is_shown() -> None:
    header = (
        b"From: =?utf-8?q?=C3=84nne?= <zoe@example.test>\r\nTo: bob@example.test, al@x.test\r\n\r\n"
    )
    order = ordering_of(header)

    assert (order.sender, order.to, order.cc) == ("ZOE", "BOB", "")
    assert order.shown_sender == collated("änne")
    assert order.shown_to == "BOB@EXAMPLE.TEST"


def test_collation_knows_case_width_and_accents() -> None:
    assert collated("Änne") == collated("a\u0308nne")
    assert sorted(["b", "Ä", "a", "B_"], key=collated) == ["a", "Ä", "b", "B_"]


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: " + b"[a]" * 30_000,
        b"Subject: " + b"re:" * 30_000,
        b"References: " + b'<"' * 100_000,
        b'References: <"' + b"a" * 200_000,
        b"References: " + b"<a@" * 80_000,
        b"Date: " + b"1 " * 100_000,
        b"From: " + b"(" * 100_000,
    ],
)
def test_rubbish_is_ordered_quickly(header: bytes) -> None:
    begin = time.process_time()
    ordering_of(header + b"\r\n\r\n")

    assert time.process_time() - begin < 1
