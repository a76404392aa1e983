"""The outbox between a real ledger and a road that may be out of order."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import INBOUND
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import Unavailable
from posthouse.runtime import outbox as room
from posthouse.runtime.outbox import Outbox
from posthouse.storage.ledger import Intake, NewMail
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from support.ledger import a_mail
from support.roads import Management, taken_off, until

pytestmark = pytest.mark.integration


class Road:
    """A road in the hands of the test."""

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.batches: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.trouble: Exception | None = None

    async def send(self, road: str, envelopes: Sequence[Envelope]) -> None:
        await self.open.wait()
        self.batches.append(len(envelopes))
        if self.trouble is not None:
            raise self.trouble
        assert road == INBOUND
        self.sent.extend(envelopes)


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
async def mails(pool: Pool) -> list[NewMail]:
    """Ten committed mails."""
    found = [a_mail() for _ in range(10)]
    async with Intake(pool) as intake:
        await asyncio.gather(*(intake.accept(mail) for mail in found))
    return found


async def unpublished(pool: Pool) -> int:
    return len(await pool.fetch("select id from unpublished"))


def envelopes(mails: Sequence[NewMail]) -> list[Envelope]:
    return [mail.envelope for mail in mails]


async def test_what_is_published_is_taken_off_the_sweepers_list(
    pool: Pool, road: Road, mails: list[NewMail]
) -> None:
    before = await unpublished(pool)

    async with Outbox(pool, road) as outbox:
        await outbox.publish(envelopes(mails))

    assert before == 10
    assert road.sent == envelopes(mails)
    assert await unpublished(pool) == 0


async def test_on_a_real_broker_too(
    pool: Pool, mails: list[NewMail], broker_url: str, broker_api: str
) -> None:
    async with (
        Management(broker_api, broker_url) as management,
        connect(broker_url, Probes(), "test") as broker,
    ):
        await broker.wait_until_up()
        async with Outbox(pool, Publisher(broker)) as outbox:
            await outbox.publish(envelopes(mails))
        assert len(await management.letters(INBOUND)) == 1
        found = await taken_off(broker, INBOUND)

    assert found == envelopes(mails)
    assert await unpublished(pool) == 0


@pytest.mark.parametrize("trouble", [Unavailable("no broker"), RuntimeError("a bug")])
async def test_what_is_not_confirmed_is_left_to_the_sweeper(
    pool: Pool, road: Road, mails: list[NewMail], trouble: Exception
) -> None:
    road.trouble = trouble

    with capture_logs() as lines:
        async with Outbox(pool, road) as outbox:
            await outbox.publish(envelopes(mails[:5]))
            await until(lambda: bool(road.batches), "it was tried")
            road.trouble = None
            await outbox.publish(envelopes(mails[5:]))

    told = [line for line in lines if line["log_level"] != "info"]
    if isinstance(trouble, Unavailable):
        assert [(line["log_level"], line["reason"]) for line in told] == [("warning", "no broker")]
        assert "exc_info" not in told[0]
    else:
        assert [line["exc_info"] for line in told] == [True]
    assert road.sent == envelopes(mails[5:])
    assert await unpublished(pool) == 5


async def test_publishing_waits_for_nobody_and_gathers_meanwhile(
    pool: Pool, road: Road, mails: list[NewMail]
) -> None:
    road.open.clear()

    async with Outbox(pool, road) as outbox:
        begun = time.monotonic()
        await outbox.publish(envelopes(mails[:1]))
        await asyncio.sleep(0)
        for mail in mails[1:]:
            await outbox.publish(envelopes([mail]))
        assert time.monotonic() - begun < 1
        road.open.set()

    assert road.batches == [1, 9]
    assert await unpublished(pool) == 0


async def test_a_full_outbox_leaves_the_rest_to_the_sweeper(
    pool: Pool, road: Road, mails: list[NewMail], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_WAITING", 4)
    road.open.clear()

    async with Outbox(pool, road) as outbox:
        for mail in mails:
            await outbox.publish(envelopes([mail]))
        road.open.set()

    assert len(road.sent) == 4
    assert await unpublished(pool) == 6


async def test_a_road_that_does_not_answer_cannot_keep_us_from_stopping(
    pool: Pool, road: Road, mails: list[NewMail]
) -> None:
    road.open.clear()
    begun = time.monotonic()

    async with Outbox(pool, road, grace=timedelta(milliseconds=200)) as outbox:
        await outbox.publish(envelopes(mails))

    assert time.monotonic() - begun < 5
    assert await unpublished(pool) == 10
