"""What an operator sees of limits, and takes back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from posthouse.mail.rates import Rate, Told
from posthouse.storage import rates
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

RATE = Rate(10, timedelta(minutes=10))


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli("limit", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_an_operator_sees_and_resets_what_is_counted(clerk: LivePostmaster) -> None:
    network = "2001:db8:0:7::/64"
    await rates.exchange(
        clerk.pool,
        [
            Told((network, "login-failures"), RATE, 1200.0),
            Told(("anna@example.test", "messages"), RATE, 120.0),
            Told(("anna@example.test", "recipients"), RATE, 180.0),
        ],
    )

    listed = json.loads(await done(clerk, "list", "--json"))
    assert [(row["who"], row["what"], row["full"]) for row in listed] == [
        (network, "login-failures", True),
        ("anna@example.test", "messages", False),
        ("anna@example.test", "recipients", False),
    ]
    assert 19.9 <= listed[0]["count"] <= 20
    assert "2001:db8" in await done(clerk, "list", "--full")
    assert "anna" not in await done(clerk, "list", "--full")
    assert "recipients" in await done(clerk, "list", "anna@example.test")

    assert "1 counts of" in await done(clerk, "reset", "2001:db8:0:7:8::9")
    assert "2 counts of" in await done(clerk, "reset", "anna@example.test")
    assert "Nothing was counted of 192.0.2.1" in await done(clerk, "reset", "192.0.2.1")
    assert "Nobody is put off" in await done(clerk, "list", "--full")
    assert "Nothing is counted" in await done(clerk, "list")


async def test_listings_are_read_to_their_end(clerk: LivePostmaster) -> None:
    told = [
        Told((f"10.0.{n // 256}.{n % 256}", "login-failures"), RATE, 600.0) for n in range(1100)
    ]
    await rates.exchange(clerk.pool, told)

    assert len(json.loads(await done(clerk, "list", "--json"))) == 1100
