"""Logs, metrics and probes."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
import structlog

from posthouse.telemetry import logs, metrics
from posthouse.telemetry.probes import RESTART_AFTER, Beat, Probes


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=stream))
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(logs._Logger, "bound", logs._Logger.bound)  # gone again after the test
    logs.configure("test-service", "info")
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def lines(stream: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_service_time_and_fields(written: io.BytesIO) -> None:
    logs.get_logger().info("recipient deferred", recipient="bert@example.test", until=None)

    (line,) = lines(written)
    assert line.pop("at")
    assert line == {
        "event": "recipient deferred",
        "level": "info",
        "service": "test-service",
        "recipient": "bert@example.test",
        "until": None,
    }


def test_lower_levels_are_not_written(written: io.BytesIO) -> None:
    logs.get_logger().debug("nobody wants to know")

    assert lines(written) == []


async def test_context_follows_tasks_and_ends(written: io.BytesIO) -> None:
    log = logs.get_logger()

    async def inner() -> None:
        log.info("in the task")

    with logs.about(envelope="e1"):
        await asyncio.create_task(inner())
    log.info("after")

    inside, after = lines(written)
    assert inside["envelope"] == "e1"
    assert "envelope" not in after


def test_an_exception_is_logged_with_its_traceback(written: io.BytesIO) -> None:
    try:
        raise ValueError("a bug")
    except ValueError:
        logs.get_logger().exception("handler failed")

    (line,) = lines(written)
    assert "ValueError: a bug" in str(line["exception"])
    assert "test_telemetry.py" in str(line["exception"])


def test_libraries_speak_in_the_same_stream(written: io.BytesIO) -> None:
    logging.getLogger("aiormq").warning("connection %s", "lost")
    logging.getLogger("aiormq").info("chatter")

    (line,) = lines(written)
    assert (line["library"], line["text"], line["level"]) == (
        "aiormq",
        "connection lost",
        "warning",
    )


def test_what_json_does_not_know_is_written_as_text(written: io.BytesIO) -> None:
    logs.get_logger().info("delay chosen", delay=timedelta(seconds=5))

    assert lines(written)[0]["delay"] == "0:00:05"


def test_metrics_are_exposed_with_their_labels() -> None:
    told = metrics.counter("posthouse_test_things_total", "Things.", "kind")
    level = metrics.gauge("posthouse_test_level", "Level.")
    spread = metrics.histogram("posthouse_test_seconds", "Seconds.")

    told.labels("good").inc()
    told.labels("good").inc(2)
    level.set(5)
    level.dec()
    spread.observe(0.2)

    text = metrics.exposition().decode()
    assert 'posthouse_test_things_total{kind="good"} 3.0' in text
    assert "posthouse_test_level 4.0" in text
    assert 'posthouse_test_seconds_bucket{le="0.25"} 1.0' in text


def test_a_histogram_counts_up_to_its_bounds_and_sums() -> None:
    spread = metrics.histogram("posthouse_test_spread", "Things.", "kind", buckets=(1, 2.5))
    for value in (0.5, 1, 1.5, 99):
        spread.labels("good").observe(value)
    spread.labels('"odd"').observe(2)

    text = metrics.exposition().decode()
    assert [line for line in text.splitlines() if line.startswith("posthouse_test_spread")] == [
        'posthouse_test_spread_bucket{kind="good",le="1.0"} 2.0',
        'posthouse_test_spread_bucket{kind="good",le="2.5"} 3.0',
        'posthouse_test_spread_bucket{kind="good",le="+Inf"} 4.0',
        'posthouse_test_spread_count{kind="good"} 4.0',
        'posthouse_test_spread_sum{kind="good"} 102.0',
        'posthouse_test_spread_bucket{kind="\\"odd\\"",le="1.0"} 0.0',
        'posthouse_test_spread_bucket{kind="\\"odd\\"",le="2.5"} 1.0',
        'posthouse_test_spread_bucket{kind="\\"odd\\"",le="+Inf"} 1.0',
        'posthouse_test_spread_count{kind="\\"odd\\""} 1.0',
        'posthouse_test_spread_sum{kind="\\"odd\\""} 2.0',
    ]
    with pytest.raises(ValueError, match="1 labels"):
        spread.observe(1)
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.histogram("posthouse_test_spread", "Others.")


def test_children_of_a_metric_are_kept() -> None:
    told = metrics.counter("posthouse_test_kept_total", "Things.", "kind")

    assert told.labels("good") is told.labels("good")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def beat(clock: Clock) -> Beat:
    return Beat("mail.local", timedelta(seconds=60), clock)


def test_without_work_nothing_is_stuck(beat: Beat, clock: Clock) -> None:
    clock.now += 10_000

    assert beat.trouble() is None


def test_work_that_does_not_move_on_makes_unready(beat: Beat, clock: Clock) -> None:
    beat.busy()
    clock.now += 61

    assert beat.trouble() == "mail.local: no progress for 61 s"


def test_progress_keeps_ready(beat: Beat, clock: Clock) -> None:
    beat.busy()
    for _ in range(10):
        clock.now += 50
        beat.busy()  # more work is no progress
        beat.beat()

    assert beat.trouble() is None


def test_progress_beside_a_stuck_worker_does_not_hide_it(beat: Beat, clock: Clock) -> None:
    beat.busy()
    stuck_since = beat.now()
    clock.now += 61
    beat.beat(since=stuck_since)

    assert beat.trouble() == "mail.local: no progress for 61 s"


def test_held_work_is_unready_but_never_restarted(clock: Clock) -> None:
    probes = Probes()
    beat = probes.progress("mail.local", timedelta(seconds=60))
    beat.busy()
    beat.hold("PostgreSQL is away")
    clock.now += 100_000

    assert probes.troubles() == ["mail.local: work is held: PostgreSQL is away"]
    assert probes.stuck() == []
    beat.release()
    assert probes.troubles() == []


def test_only_long_stuck_work_asks_for_a_restart(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    probes = Probes()
    beat = probes.progress("mail.local", timedelta(seconds=60))
    monkeypatch.setattr(beat, "_clock", clock)
    beat.busy()

    clock.now += 61
    assert probes.stuck() == []
    clock.now += 60 * RESTART_AFTER
    assert probes.stuck() == ["mail.local"]
    beat.idle()
    assert probes.stuck() == []


def test_checks_are_asked_each_time_and_can_be_forgotten() -> None:
    probes, troubles = Probes(), ["away", None]
    probes.ready("broker", lambda: troubles.pop(0))

    assert probes.troubles() == ["broker: away"]
    assert probes.troubles() == []
    probes.forget("broker")
    assert probes.troubles() == []
