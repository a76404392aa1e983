"""SPF against the test suite of RFC 7208 (openspf.org, release 2014.04), all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from posthouse.authenticity.spf import check_host
from support.names import FakeNames

SUITE = Path(__file__).parents[2] / "golden" / "spf" / "rfc7208-tests.yml"
TYPES = ("TXT", "MX", "A", "AAAA", "PTR", "CNAME")


def _records(lines: list[Any]) -> dict[str, list[str]]:
    """Return the records of one name; those of type SPF become TXT, unless there are such."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for kind, value in line.items() if isinstance(line, dict) else ():
            if kind == "MX":
                found.setdefault("MX", []).append(f"{value[0]} {value[1] or '.'}")
            elif kind in {"TXT", "SPF"}:
                found.setdefault(kind, []).append("".join(value))
            elif kind in TYPES:
                found.setdefault(kind, []).append(str(value))
    if "TXT" not in found:
        found["TXT"] = found.get("SPF", [])
    found["TXT"] = [text for text in found["TXT"] if text != "NONE"]
    return found


def _names(zone: dict[str, list[Any]]) -> FakeNames:
    records = {name.lower(): _records(lines) for name, lines in zone.items()}
    silent: set[str | tuple[str, str]] = {
        name.lower() for name, lines in zone.items() if "TIMEOUT" in lines
    }
    for name, lines in zone.items():
        for line in lines:
            if isinstance(line, dict):
                silent |= {
                    (name.lower(), kind) for kind, value in line.items() if value == "TIMEOUT"
                }
    return FakeNames(records, frozenset(silent))


def _cases() -> Iterator[Any]:
    for section in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        for name, case in section["tests"].items():
            yield pytest.param(section, case, id=name)


CASES = list(_cases())


@pytest.mark.parametrize(("section", "case"), CASES)
async def test_the_suite(section: dict[str, Any], case: dict[str, Any]) -> None:
    sender = case["mailfrom"] or f"postmaster@{case['helo']}"

    found = await check_host(
        _names(section["zonedata"]),
        case["host"],
        sender.rpartition("@")[2],
        sender=sender,
        hello=case["helo"],
    )

    expected = case["result"] if isinstance(case["result"], list) else [case["result"]]
    assert found.result in expected, (case, found)
    said = case.get("explanation")
    if said is not None:  # DEFAULT: the domain says nothing; DNS names know no case
        assert found.explanation.lower() == ("" if said == "DEFAULT" else said.lower())


def test_all_of_it_is_read() -> None:
    assert len(CASES) > 200
