"""From fields of accounts that are made to cost us much are refused unread."""

from __future__ import annotations

from typing import cast

import pytest

from ingress_smtp.authorship import MAX_AUTHOR_OCTETS, TOO_MANY_AUTHORS, Authorship
from ingress_smtp.commands import Rcpt
from ingress_smtp.recipients import Gate
from ingress_smtp.stamps import Arrival

ARRIVAL = Arrival(
    client="192.0.2.1", hello="b.test", extended=True, tls=None, auth="anna@example.test",
    is_submission=True, sender="anna@example.test", recipients=(Rcpt("x@far.test"),), body="7BIT",
    smtputf8=False,
)  # fmt: skip


@pytest.mark.parametrize("name", [b"From", b"Sender"])
async def test_kilobytes_of_authors_are_too_many(name: bytes) -> None:
    nobody_asks = Authorship(gate=cast("Gate", None))
    field = name + b": anna@example.test" + b"," * MAX_AUTHOR_OCTETS + b"\r\n\r\n"

    assert await nobody_asks.examine(ARRIVAL, field) == TOO_MANY_AUTHORS
