"""Mail that came back: any octets are read, quickly, and whatever is read is bounded (RFC 3464)."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.dsn import compose_dsn
from posthouse.mime.returned import (
    MAX_FIELD_CHARACTERS,
    MAX_RECIPIENTS,
    MAX_SAID_CHARACTERS,
    ReturnedMail,
    read_returned,
)
from unit.mail.test_dsn import ENGLISH, REPORTS

GOLDEN = Path(__file__).parents[1] / "golden/returned"
LETTERS = [path.read_bytes() for path in sorted(GOLDEN.iterdir())]
TRICKY = [
    b"\r\n\r\n", b"\n\n", b"--b\r\n", b"\0", b"\xff", b"<a@b>:\r\n", b"(" * 50, b";" * 50,
    b"Final-Recipient: rfc822;", b"Status: 5.", b"Hi. This is the ", rb"\x{FFFFFFF}",
    b"Content-Type: message/delivery-status\r\n", b"Content-Transfer-Encoding: base64\r\n",
]  # fmt: skip


def _is_bounded(found: ReturnedMail) -> bool:
    told = found.recipients
    fields = (found.message_id, found.return_path, found.envid)
    return (
        len(told) <= MAX_RECIPIENTS
        and all(len(each) <= MAX_FIELD_CHARACTERS for each in fields)
        and all(len(each.said) <= MAX_SAID_CHARACTERS for each in told)
        and all(len(each.address) <= MAX_FIELD_CHARACTERS for each in told)
    )


@given(st.binary(max_size=2000))
def test_any_octets_are_read(octets: bytes) -> None:
    assert _is_bounded(read_returned(octets))


@given(st.data())
def test_real_bounces_are_read_whatever_is_cut_out_or_put_in(data: st.DataObject) -> None:
    octets = data.draw(st.sampled_from(LETTERS))
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(start, min(len(octets), start + 200)))
        put = data.draw(st.sampled_from(TRICKY) | st.binary(max_size=20))
        octets = octets[:start] + put + octets[end:]

    assert _is_bounded(read_returned(octets))


def test_what_we_write_ourselves_is_read_back() -> None:
    for report in REPORTS.values():
        found = read_returned(compose_dsn(report, ENGLISH))

        assert found.kind == "bounce"
        assert [each.address for each in found.recipients] == [f.address for f in report.fates]
        assert [each.action for each in found.recipients] == [f.action for f in report.fates]
        assert [each.status for each in found.recipients] == [
            fate.status.dotted for fate in report.fates
        ]


def test_a_bounce_that_was_made_to_be_slow_is_read_at_once() -> None:
    started = time.process_time()
    for piece in TRICKY:
        for head in (
            b"",
            b"Content-Type: message/delivery-status\n\nX: y\n\n",
            b"Hi. This is the\n",
        ):
            read_returned(head + piece * (300_000 // len(piece)))

    assert time.process_time() - started < 20
