"""Processor time of a process and what it has started, the ended ones included."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import processor
from bench.measuring import Run
from bench.report import _ratios

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_the_time_of_an_ended_child_is_its_parents() -> None:
    before = processor.used({"us": os.getpid()})["us"]

    subprocess.run([sys.executable, "-c", BURN], check=True)

    assert processor.used({"us": os.getpid()})["us"] - before >= 0.25


def test_the_time_of_a_grandchild_that_lives_is_counted() -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN + 'print(1, flush=True); input()'!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent = processor.used({"them": process.pid})["them"]
        process.communicate(b"\n")

    assert spent >= 0.25


def test_a_process_that_is_gone_has_used_nothing() -> None:
    assert processor.used({"nobody": 2**22 + 1}) == {"nobody": 0.0}


def run(system: str, delivered: float) -> Run:
    return Run(
        system=system, course="c", count=10, octets=4096, accepted_per_second=2 * delivered,
        delivered_per_second=delivered, processor_ms={"a": 1.0, "b": 1.5}, client_ms=0.1,
        others_share=0.0, calibration_ms=10.0,
    )  # fmt: skip


def test_systems_are_compared_round_by_round() -> None:
    runs = [run("A", 200), run("B", 100), run("A", 900), run("B", 300), run("A", 40), run("B", 20)]

    text = _ratios(runs)

    assert "2.00 times its rate of delivery" in text
    assert "1.00 times its CPU per mail" in text
