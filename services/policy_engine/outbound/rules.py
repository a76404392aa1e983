"""What looks wrong about an account, by what it sends today. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from posthouse.storage.outbound.counting import Today
from posthouse.storage.outbound.pausing import Alarm, Consequence

Rule: TypeAlias = Literal["volume", "strangers", "failures", "networks", "spam", "logins"]
RULES: tuple[Rule, ...] = get_args(Rule)

Consequences: TypeAlias = Mapping[str, Consequence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From how many on a rule says something; 0: never. A day is this hour and the 23 before it.

    Attributes:
        volume: Recipients outside in a day that are never too many.
        factor: Times what is usual; both must be passed.
        strangers: Different recipients outside in a day.
        failures: Recipients in a day that servers outside refuse for good.
        networks: Networks it submits from, or logs in from, within an hour.
        spam: Messages in a day that look like spam.
        logins: Logins in a day that fail.
    """

    volume: int = 300
    factor: float = 10.0
    strangers: int = 1000
    failures: int = 100
    networks: int = 8
    spam: int = 20
    logins: int = 1000


def alarms(today: Today, thresholds: Thresholds, consequences: Consequences) -> list[Alarm]:
    """Return what looks wrong about an account."""
    most = thresholds
    usual = max(most.volume, most.factor * today.usual)
    seen: dict[Rule, str] = {}
    if most.volume and today.recipients > usual:
        seen["volume"] = (
            f"{today.recipients} recipients outside in a day, {today.usual} on a usual one"
        )
    if 0 < most.strangers < today.strangers:
        seen["strangers"] = f"{today.strangers} different recipients outside in a day"
    if 0 < most.failures < today.failures:
        seen["failures"] = f"{today.failures} recipients refused by their servers in a day"
    if 0 < most.networks < today.networks:
        seen["networks"] = f"submits or logs in from {today.networks} networks within an hour"
    if 0 < most.spam < today.spam:
        seen["spam"] = f"{today.spam} messages that look like spam in a day"
    if 0 < most.logins < today.logins:
        seen["logins"] = f"{today.logins} failed logins in a day"
    return [
        Alarm(account=today.account, rule=rule, consequence=consequences[rule], detail=detail)
        for rule, detail in seen.items()
    ]
