"""A site that is back gets its mail portion by portion, as long as it keeps up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from delivery_remote.next_hop import Destination, Limits
from delivery_remote.pace import Hall, Site
from delivery_remote.returns import Returns
from delivery_remote.trouble import Later
from posthouse.mail.envelope import Envelope, InboundRecipient, Remote
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.mail.status import Status
from posthouse.storage.ledger import Released, Walk
from support.roads import until

AWAY = Later(Status(451, (4, 4, 1)), "Connection refused")


@dataclass
class Office:
    """A ledger that has so many recipients for each domain, and a clock."""

    left: dict[str, int]
    now: float = 1000.0
    published: list[str] = field(default_factory=list)
    outages: int = 0

    def site(self) -> Destination:
        return Destination("site", Limits(), Site("site", Hall(clock=lambda: self.now)))

    async def release(self, domain: str, walk: Walk, limit: int) -> Released:
        if self.outages:
            self.outages -= 1
            raise Unavailable("storage is not available")
        count = min(limit, self.left[domain])
        self.left[domain] -= count
        one = Remote(
            id=new_id(), sender="", size=1, domain=domain,
            recipients=tuple(InboundRecipient(n=n, address=f"u@{domain}") for n in range(count)),
        )  # fmt: skip
        return Released((one,) if count else (), count, walk if self.left[domain] else None)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.published += [each.domain for each in envelopes if isinstance(each, Remote)]


@pytest.fixture
async def office() -> Office:
    return Office({"a.test": 5, "b.test": 5})


@pytest.fixture
async def following(office: Office) -> AsyncIterator[Returns]:
    async with Returns(office.release, office.publish, rate=8.0) as returns:  # 2 in a round
        yield returns


async def all_published(office: Office, *domains: str) -> None:
    await until(lambda: not any(office.left[domain] for domain in domains), "mail is left")


def back(office: Office, *domains: str) -> Destination:
    """A site that rested while mail for ``domains`` came, and works again."""
    site = office.site()
    site.failed(AWAY)
    for domain in domains:
        site.missed(domain)
    office.now += 3600
    site.worked()
    return site


async def test_the_rest_follows_in_portions_of_all_domains_in_turn(
    office: Office, following: Returns
) -> None:
    following.look(back(office, "a.test", "b.test"), "a.test")

    await all_published(office, "a.test", "b.test")
    assert sorted(office.published[:2]) == ["a.test", "b.test"]
    assert sorted(office.published) == ["a.test"] * 3 + ["b.test"] * 3


async def test_while_a_site_rests_nothing_follows(office: Office, following: Returns) -> None:
    site = office.site()
    site.failed(AWAY)

    following.look(site, "a.test")
    assert site.returned() == ()
    office.now += 3600
    site.worked()
    following.look(site, "b.test")

    await all_published(office, "a.test")
    assert "b.test" not in office.published


async def test_a_site_that_goes_away_again_is_waited_for_again(
    office: Office, following: Returns
) -> None:
    site = back(office, "a.test")
    following.look(site, "a.test")
    await until(lambda: bool(office.published), "nothing followed")
    office.now += 3600
    site.failed(AWAY)
    await until(lambda: "a.test" in site._missed, "it is not waited for")
    assert office.left["a.test"] > 0

    office.now += 3600
    site.worked()
    following.look(site, "a.test")
    await all_published(office, "a.test")


async def test_an_outage_of_the_ledger_only_delays(office: Office, following: Returns) -> None:
    office.outages = 2

    following.look(back(office, "a.test"), "a.test")

    await all_published(office, "a.test")


async def test_a_site_is_back_once(office: Office) -> None:
    site = back(office, "a.test")

    assert site.returned() == ("a.test",)
    assert site.returned() == ()


async def test_of_many_that_were_asked_for_one_finds_out(office: Office) -> None:
    site = office.site()
    site.failed(AWAY)
    office.now += 10

    site.wake(timedelta(seconds=3))  # asked for after it failed
    assert site.resting() is None
    site.failed(AWAY)
    office.now += 1
    site.wake(timedelta(seconds=4))  # asked for together with the first
    assert site.resting() is not None
    site.wake(timedelta(seconds=0))  # asked for anew
    assert site.resting() is None
