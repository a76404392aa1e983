"""What a message in a parking place tells of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from posthouse.bus.obituary import History, compose
from posthouse.bus.topology import DELIVERY_LIMIT, INBOUND, LOCAL, REMOTE_ROADS, dead_queue
from posthouse.bus.undertaking import read_burial
from posthouse.bus.wire import encode
from posthouse.mail.envelope import Inbound, InboundRecipient, Remote
from posthouse.mail.errors import MissingObject
from posthouse.mail.ids import new_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LETTER = Inbound(
    id=new_id(), sender="", size=1, recipients=(InboundRecipient(n=0, address="a@b.test"),)
)
FAR = Remote(
    id=new_id(), sender="", size=1, domain="b.test",
    recipients=(InboundRecipient(n=0, address="a@b.test"),),
)  # fmt: skip
LIMIT = {"queue": "mail.remote.3", "reason": "delivery_limit", "count": 1, "time": NOW}
WAITED = {"queue": "wait.5s", "reason": "expired", "count": 2, "time": NOW - timedelta(1)}


def test_the_obituary_of_a_consumer_is_read_back_whole() -> None:
    history = History(failures=3, first_failed=NOW - timedelta(hours=1))
    obituary = compose("policy", INBOUND, MissingObject("gone"), history, NOW)

    burial = read_burial(dead_queue(INBOUND), encode(LETTER), obituary.headers(INBOUND), NOW)

    assert burial.obituary == obituary
    assert (burial.road, burial.envelope) == (INBOUND, LETTER)


def test_what_the_broker_parked_is_told_by_its_death_and_not_by_its_waits() -> None:
    headers = {
        "x-death": [WAITED, LIMIT],
        "posthouse-failures": 2,
        "posthouse-first-failed": (NOW - timedelta(2)).isoformat(),
    }

    burial = read_burial("mail.remote.dead", encode(FAR), headers, NOW)

    assert burial.road == "mail.remote.3"
    assert burial.obituary.reason == "parked by the broker: delivery limit"
    assert burial.obituary.failures == DELIVERY_LIMIT
    assert burial.obituary.first_failed == NOW - timedelta(2)
    assert burial.obituary.last_failed == NOW


def test_equal_deaths_by_the_broker_have_one_fingerprint() -> None:
    first, second = (
        read_burial("mail.remote.dead", encode(FAR), {"x-death": [LIMIT | {"time": at}]}, NOW)
        for at in (NOW, NOW + timedelta(1))
    )

    assert first.obituary.fingerprint == second.obituary.fingerprint
    assert first.obituary.last_failed != second.obituary.last_failed


@pytest.mark.parametrize(
    ("queue", "road"),
    [
        (dead_queue(INBOUND), INBOUND),
        (dead_queue(LOCAL), LOCAL),
        (dead_queue(REMOTE_ROADS[5]), REMOTE_ROADS[0]),
    ],
)
@pytest.mark.parametrize("death", [None, "nonsense", [7], [{"queue": 1, "time": "yesterday"}]])
def test_a_message_that_tells_nothing_is_buried_all_the_same(
    queue: str, road: str, death: object
) -> None:
    burial = read_burial(queue, b"\xff", {"x-death": death}, NOW)

    assert (burial.road, burial.envelope) == (road, None)
    assert burial.obituary.last_failed == NOW
    assert burial.obituary.reason


def test_an_obituary_that_was_cut_is_read_as_far_as_it_goes() -> None:
    headers = {"posthouse-reason": b"octets \xff", "posthouse-last-failed": "never"}

    burial = read_burial(dead_queue(LOCAL), b"{}", headers, NOW)

    assert burial.obituary.reason == "octets \ufffd"
    assert burial.obituary.last_failed == NOW
