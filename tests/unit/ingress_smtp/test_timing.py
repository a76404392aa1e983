"""What took how long stands in the metrics, by command and by step."""

from __future__ import annotations

import re

from ingress_smtp.commands import Data
from ingress_smtp.timing import Answering, Steps
from posthouse.telemetry.metrics import exposition


def count(name: str, label: str) -> int:
    found = re.search(
        rf"^posthouse_ingress_{name}_count{{{label}}} (\d+)", exposition().decode(), re.MULTILINE
    )
    return int(found[1]) if found else 0


def test_a_command_is_timed_however_it_ends() -> None:
    before = count("command_seconds", 'command="data"')

    with Answering(Data()):
        pass
    try:
        with Answering(Data()):
            raise ValueError
    except ValueError:
        pass

    assert count("command_seconds", 'command="data"') == before + 2


def test_steps_follow_each_other() -> None:
    before = count("step_seconds", 'step="commit"')

    steps = Steps()
    steps.done("store")
    steps.done("commit")

    assert count("step_seconds", 'step="commit"') == before + 1
