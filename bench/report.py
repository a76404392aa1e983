"""The result: a table for people, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.measuring import Run

_COLUMNS = ("accepted/s", "MB/s", "delivered/s", "CPU ms/mail", "client ms", "others", "core ms")

FEW = 20  # a second: below that a tenth counts


def note(run: Run, file: Path) -> None:
    """Append a run to the JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps({**asdict(run), "total_ms": round(run.total_ms, 3)}) + "\n")


def show(runs: Sequence[Run], console: Console) -> None:
    """Print medians per course and system, then the processor time of each process."""
    table = Table(title="medians", box=None, header_style="bold")
    for heading in ("course", "system", *_COLUMNS):
        table.add_column(heading, justify="left" if heading in {"course", "system"} else "right")
    for course, system in _groups(runs):
        mine = _of(runs, course, system)
        table.add_row(
            course,
            system,
            _range(run.accepted_per_second for run in mine),
            f"{median(run.accepted_per_second * run.octets / 1e6 for run in mine):.0f}",
            _range(run.delivered_per_second for run in mine),
            f"{median(run.total_ms for run in mine):.2f}",
            f"{median(run.client_ms for run in mine):.2f}",
            f"{median(run.others_share for run in mine):.0%}",
            f"{median(run.calibration_ms for run in mine):.1f}",
        )
    console.print(table)
    for course, system in _groups(runs):
        costs = _by_process(_of(runs, course, system))
        console.print(f"{course}, {system}, CPU ms/mail: {costs}", soft_wrap=True)
    console.print(_ratios(runs), soft_wrap=True)


def _groups(runs: Iterable[Run]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((run.course, run.system) for run in runs))


def _of(runs: Iterable[Run], course: str, system: str) -> list[Run]:
    return [run for run in runs if (run.course, run.system) == (course, system)]


def _range(values: Iterable[float]) -> str:
    numbers = sorted(values)
    digits = 0 if numbers[0] >= FEW else 1
    return f"{median(numbers):.{digits}f} ({numbers[0]:.{digits}f}-{numbers[-1]:.{digits}f})"


def _by_process(runs: Sequence[Run]) -> str:
    costs = {
        name: median(run.processor_ms.get(name, 0.0) for run in runs)
        for name in runs[0].processor_ms
    }
    ordered = sorted(costs.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {cost:.3f}" for name, cost in ordered)


def _ratios(runs: Sequence[Run]) -> str:
    """Return how the first system of each course compares with the second, round by round."""
    lines = []
    for course in dict.fromkeys(run.course for run in runs):
        systems = list(dict.fromkeys(run.system for run in runs if run.course == course))
        if len(systems) != 2:  # noqa: PLR2004 - a pair
            continue
        pairs = list(zip(*(_of(runs, course, system) for system in systems), strict=False))
        delivered = median(a.delivered_per_second / b.delivered_per_second for a, b in pairs)
        accepted = median(a.accepted_per_second / b.accepted_per_second for a, b in pairs)
        cost = median(a.total_ms / b.total_ms for a, b in pairs)
        lines.append(
            f"{course}: {systems[0]} has {accepted:.2f} times the accepting rate of {systems[1]}, "
            f"{delivered:.2f} times its rate of delivery, at {cost:.2f} times its CPU per mail"
        )
    return "\n".join(lines)
