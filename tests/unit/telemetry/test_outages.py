"""An outage is told when it begins, once a minute while it lasts, and when it ends."""

from __future__ import annotations

from structlog.testing import capture_logs

from posthouse.telemetry.outages import Outage


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_many_attempts_are_one_line_a_minute_and_the_end_is_told_once() -> None:
    clock = Clock()
    outage = Outage("broker unreachable", "broker reconnected", clock=clock, purpose="testing")

    with capture_logs() as lines:
        for _ in range(150):
            outage.away("refused")
            clock.now += 1.0
        assert outage.over()
        assert not outage.over()

    told = [(line["event"], line["log_level"]) for line in lines]
    assert told == [("broker unreachable", "warning")] * 3 + [("broker reconnected", "info")]
    assert len({line["since"] for line in lines[:-1]}) == 1
    assert lines[-1]["after_seconds"] == 150.0
    assert all(line["purpose"] == "testing" for line in lines)


def test_the_next_outage_is_told_at_once() -> None:
    outage = Outage("gone", "back")

    with capture_logs() as lines:
        outage.away("one")
        outage.over()
        outage.away("two")

    assert [line.get("reason") for line in lines] == ["one", None, "two"]
