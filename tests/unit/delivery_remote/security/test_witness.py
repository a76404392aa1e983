"""What is counted of a session; how counts are kept is the tally's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from delivery_remote.security.proofs import MAY, Demand, Policy
from delivery_remote.security.witness import Witness
from posthouse.mail.tls_words import Failure, Fault

DEMAND = Demand(when="must", name="MTA-STS enforce", policy=Policy(kind="sts", domain="b.test"))
FAULT = Fault(Failure.EXPIRED, "it ended")


class Table:
    """A pool that keeps what is added."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    async def execute(self, _sql: str, *columns: Any) -> int:  # noqa: ANN401 - a column of anything
        lists: Iterable[Any] = columns[:-1]
        self.rows += zip(*lists, strict=True)
        return len(self.rows)

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        return [(row[3], row[4], row[9]) for row in self.rows]


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def witness(table: Table) -> Witness:
    return Witness(table)  # type: ignore[arg-type] # it executes, and no more is needed


async def test_sessions_of_one_kind_are_one_row(witness: Witness, table: Table) -> None:
    for host in ("mx1.b.test", "mx2.b.test", "mx1.b.test"):
        witness.saw(host, "192.0.2.1", DEMAND, None)
        witness.saw(host, "192.0.2.1", DEMAND, FAULT)
    witness.saw("mx.c.test", "192.0.2.1", MAY, None)  # of no domain: nobody is told
    await witness.flush()
    await witness.flush()

    assert sorted(table.counts) == [
        ("", "", 3),
        ("certificate-expired", "mx1.b.test", 2),
        ("certificate-expired", "mx2.b.test", 1),
    ]


async def test_our_address_is_told_of_failures_where_the_world_sees_it(
    witness: Witness, table: Table
) -> None:
    for source in ("9.9.9.9", "2620:fe::fe", "10.0.0.1", "127.0.0.1", "fe80::1%eth0", ""):
        witness.saw("mx.b.test", "192.0.2.1", DEMAND, FAULT, source=source)
    witness.saw("mx.b.test", "192.0.2.1", DEMAND, None, source="9.9.9.9")
    await witness.flush()

    assert sorted((row[6], row[9]) for row in table.rows) == [
        ("", 1), ("", 4), ("2620:fe::fe", 1), ("9.9.9.9", 1),
    ]  # fmt: skip
