"""What the log says of outages: one line for each, with its reason, and never a traceback."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from posthouse.bus import feeding
from posthouse.bus.ask import serve_questions
from posthouse.bus.connection import Broker, connect
from posthouse.bus.consumer import Move
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.mail.envelope import Local
from posthouse.mail.errors import Unavailable
from posthouse.telemetry import logs
from posthouse.telemetry.probes import Probes
from support.questions import Double, Doubled, Question, asking, free_port, port_of
from support.roads import Desk, Management, consuming, local, until

pytestmark = pytest.mark.integration


class Written:
    """What a service would have on its standard output."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    def lines(self, *levels: str) -> list[dict[str, Any]]:
        """Return the lines of these levels, or all."""
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in found if not levels or line["level"] in levels]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    log = Written()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=log.stream))
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(logs._Logger, "bound", logs._Logger.bound)  # gone again after the test
    logs.configure("test-service")
    yield log
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def _sessions() -> float:
    name = "posthouse_bus_consumer_sessions_total"
    return REGISTRY.get_sample_value(name, {"road": LOCAL}) or 0


async def test_a_consumer_that_is_made_anew_to_be_sure_tells_nothing(
    written: Written, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(feeding, "RENEWAL", 2)
    before = _sessions()
    async with consuming(broker, Desk()):
        await until(lambda: _sessions() >= before + 3, "it was made anew twice")

    assert [e["event"] for e in written.lines()].count("consuming") == 1


async def test_a_lost_connection_is_one_line_and_its_return_another(
    written: Written, broker: Broker, management: Management
) -> None:
    desk = Desk()
    async with consuming(broker, desk):
        await until(lambda: "consuming" in [e["event"] for e in written.lines()], "it consumes")

        await management.close_connections("consuming")
        await until(
            lambda: [e["event"] for e in written.lines()].count("consuming") == 2, "it is back"
        )
        await Publisher(broker).send(LOCAL, [local()])
        await until(lambda: len(desk.calls) == 1, "it came")

    [lost] = written.lines("warning", "error", "critical")
    assert (lost["event"], lost["purpose"]) == ("broker unreachable", "consuming")
    assert "Closed via management plugin" in lost["reason"]
    assert not [line for line in written.lines() if "exception" in line]
    [back] = [line for line in written.lines() if line["event"] == "broker reconnected"]
    assert back["level"] == "info"
    assert 0 <= back["after_seconds"] < 30


async def test_a_broker_that_is_not_there_is_one_line_however_often_it_is_tried(
    written: Written,
) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    async with connect(url, Probes(), "test") as broker:
        with pytest.raises(Unavailable):  # after seconds, in which the line tries several times
            _ = await broker.publishing.channel(confirms=False)

    [line] = written.lines("warning", "error", "critical")
    assert line["event"] == "broker unreachable"
    assert line["reason"] == "test publishing: AMQPConnectionError: [Errno 111] Connection refused"


async def test_held_work_is_one_line_however_often_it_is_tried(
    written: Written, broker: Broker
) -> None:
    desk = Desk()

    async def later(envelopes: Sequence[Local]) -> Sequence[Move]:
        if len(desk.calls) < 4:
            raise Unavailable("storage is not available", detail="PostgreSQL: gone")
        return await desk.ack(envelopes)

    desk.answer = later
    async with consuming(broker, desk):
        await Publisher(broker).send(LOCAL, [local()])
        await until(lambda: "work no longer held" in [e["event"] for e in written.lines()], "done")

    [held] = written.lines("warning", "error", "critical")
    assert (held["event"], held["reason"]) == ("work held", "PostgreSQL: gone")


async def test_an_outage_behind_a_question_is_one_line_and_a_bug_has_its_traceback(
    written: Written,
) -> None:
    async def fail(question: Question) -> Doubled:
        if isinstance(question, Double) and question.n:
            raise Unavailable("storage is not available", detail="PostgreSQL: gone")
        raise ValueError("a bug of ours")

    async with (
        serve_questions("127.0.0.1", 0, Question, fail) as server,
        asking(port_of(server)) as asker,
    ):
        for n in (1, 0):
            with pytest.raises(Unavailable, match="could not answer"):
                await asker.ask(Double(n))

    outage, bug = written.lines("warning", "error", "critical")
    assert (outage["level"], outage["reason"]) == ("warning", "PostgreSQL: gone")
    assert "exception" not in outage
    assert bug["level"] == "error"
    assert "a bug of ours" in bug["exception"]
