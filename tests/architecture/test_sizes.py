"""Small: a file is a room one can see across, a function is a thought."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_PARAMETERS = 6
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager", "types"}

# path -> why it may be longer; empty is the aim.
LONGER_FILES: dict[str, str] = {}
LONGER_FUNCTIONS: dict[str, str] = {}


def _sources() -> list[Path]:
    found = [p for top in ("shared", "services") for p in (ROOT / top).rglob("*.py")]
    return sorted(found)


@cache
def _functions() -> tuple[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef], ...]:
    """Return all functions, each with the path of its file before its name."""
    return tuple(
        (f"{_name(path)}::{node.name}", node)
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_sources_to_measure() -> None:
    assert len(_sources()) > 50


def test_a_file_fits_its_room() -> None:
    lines = {_name(path): len(path.read_text().splitlines()) for path in _sources()}
    long = {name for name, count in lines.items() if count > MAX_FILE_LINES}

    assert long - LONGER_FILES.keys() == set()


def test_a_function_is_one_thought() -> None:
    long = {
        name for name, f in _functions() if (f.end_lineno or 0) - f.lineno + 1 > MAX_FUNCTION_LINES
    }

    assert long - LONGER_FUNCTIONS.keys() == set()


def test_a_function_takes_few_parameters() -> None:
    many = {
        name
        for name, f in _functions()
        if len([a for a in f.args.posonlyargs + f.args.args if a.arg not in {"self", "cls"}])
        > MAX_PARAMETERS
    }

    assert many == set()


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [p for p in _sources() if p.stem in FORBIDDEN_NAMES] == []


def test_the_lists_of_exceptions_name_only_what_is_there() -> None:
    longer_functions = {name.split("::")[0] for name in LONGER_FUNCTIONS}

    assert {p for p in [*LONGER_FILES, *longer_functions] if not (ROOT / p).exists()} == set()
