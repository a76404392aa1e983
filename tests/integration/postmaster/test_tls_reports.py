"""The reporter on TLS: real PostgreSQL, name server and HTTPS; each report once, whatever fails."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.envelope import Inbound
from posthouse.resolver import Resolver
from posthouse.runtime.tls import client_context
from posthouse.runtime.web import Web
from posthouse.storage import ledger
from posthouse.storage.pool import Pool
from posthouse.storage.report_days import SentReport
from posthouse.storage.tls_results import TLS_DAYS, Result, add_results, results_of
from posthouse.storage.trace import timeline
from postmaster.duties import daily_reports
from postmaster.duties.daily_reports import Desk, report_on_days
from postmaster.duties.tls_reports import OnTls
from postmaster.reports.letter import Letterhead
from support.chains import authority
from support.dns_zone import Zone, serve_zone
from support.sts_site import Site, serve_site

pytestmark = pytest.mark.integration

HEAD = Letterhead(host="mail.example.test", organization="Example", address="tls@example.test")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
DAY = date(2026, 11, 21)
GOOD = Result(day=DAY, domain="b.test", kind="sts", sessions=7)


async def signed(octets: bytes, domain: str) -> bytes:
    """A house with keys."""
    return f"X-Signed: {domain}\r\n".encode() + octets


async def unsigned(octets: bytes, _: str) -> bytes:
    """A house without keys."""
    return octets


@dataclass
class Office:
    """The reporter and the world around it."""

    desk: Desk
    zone: Zone
    site: Site
    blobs: Blobs

    async def round(self, now: datetime = NOW) -> int:
        """Let the reporter do what is due."""
        return await report_on_days(self.desk, now)

    def ask(self, rua: str, domain: str = "b.test") -> None:
        """Let ``domain`` ask for reports."""
        self.zone.records[f"_smtp._tls.{domain}"] = [f'TXT "v=TLSRPTv1; rua={rua}"']

    async def told(self) -> list[SentReport]:
        return list(await TLS_DAYS.sent(self.desk.pool, (date.min, ""), 100))

    async def mails(self) -> list[Inbound]:
        """Return what waits to be published: what the sweeper puts on its way."""
        found = await ledger.claim_unpublished(self.desk.pool, timedelta(), 100)
        return [each for each in found if isinstance(each, Inbound)]

    async def later(self) -> None:
        """Let the pause after a failure be over."""
        await self.desk.pool.execute(
            "update tls_reports set again_at = now() where done_at is null"
        )


@pytest.fixture
async def office(pool: Pool, tmp_path: Path) -> AsyncIterator[Office]:
    root = authority()
    trust = client_context(authorities=root.pem(tmp_path / "root.pem"))
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        zone = await enter(serve_zone({"reports.test": ["A 127.0.0.1"]}))
        site = await enter(serve_site(root.issue("reports.test").server(tmp_path)))
        blobs = await enter(open_blobs(f"disk:{tmp_path}/objects"))
        resolver = Resolver(zone.nameservers, lifetime=timedelta(seconds=1))
        web = await enter(
            Web(resolver, trust, port=site.port, patience=timedelta(seconds=2), inner=True)
        )
        desk = Desk(
            pool=pool, blobs=blobs, web=web, kind=OnTls(pool, resolver), head=HEAD, sign=signed
        )
        yield Office(desk, zone, site, blobs)


async def test_a_day_is_told_by_mail_through_the_ledger_once(office: Office) -> None:
    office.ask("mailto:reports@b.test")
    await add_results(office.desk.pool, [GOOD, replace(GOOD, day=NOW.date())])

    assert await office.round() == 1
    assert await office.round() == 0

    (mail,) = await office.mails()
    assert [each.address for each in mail.recipients] == ["reports@b.test"]
    assert mail.sender == "tls@example.test"
    octets = await office.blobs.get(mail.blob)
    assert len(octets) == mail.size
    assert b'report-type="tlsrpt"' in octets
    trace = await timeline(office.desk.pool, mail.id)
    assert trace is not None
    assert trace.events[0].detail == "report of ours"
    assert [(each.done, each.how) for each in await office.told()] == [(True, "reports@b.test")]


async def test_a_day_is_posted_once(office: Office) -> None:
    office.ask("https://reports.test/v1")
    await add_results(office.desk.pool, [GOOD])
    office.site.status = 201

    await office.round()
    await office.round()

    ((media_type, octets),) = office.site.posted
    assert media_type == "application/tlsrpt+gzip"
    said = json.loads(gzip.decompress(octets))
    assert said["policies"][0]["summary"]["total-successful-session-count"] == 7
    assert await office.mails() == []


@pytest.mark.parametrize("status", [404, 500, 301])
async def test_a_post_that_fails_comes_again_the_mail_beside_it_does_not(
    office: Office, status: int
) -> None:
    office.ask("mailto:a@b.test,https://reports.test/v1")
    await add_results(office.desk.pool, [GOOD])
    office.site.status = status

    await office.round()
    assert await office.round() == 0  # not at once
    (put_off,) = await office.told()
    assert not put_off.done
    assert str(status) in put_off.how
    await office.later()
    office.site.status = 200
    await office.round()

    assert [each.done for each in await office.told()] == [True]
    assert len(office.site.posted) == 2
    assert office.site.posted[0] == office.site.posted[1]
    assert len(await office.mails()) == 1


async def test_the_mail_goes_though_dns_was_silent_first(office: Office) -> None:
    office.zone.records["_smtp._tls.b.test"] = ["SERVFAIL"]
    await add_results(office.desk.pool, [GOOD])
    await office.round()
    assert await office.mails() == []
    office.ask("mailto:a@b.test")
    await office.later()
    afresh = OnTls(office.desk.pool, Resolver(office.zone.nameservers))
    desk = replace(office.desk, kind=afresh)

    await asyncio.gather(*(report_on_days(desk, NOW) for _ in range(4)))

    assert len(await office.mails()) == 1
    assert [(each.done, each.how) for each in await office.told()] == [(True, "a@b.test")]


async def test_a_mail_that_nobody_would_count_waits_for_a_key(office: Office) -> None:
    office.desk = replace(office.desk, sign=unsigned)
    office.ask("mailto:a@b.test")
    office.ask("mailto:a@c.test,https://reports.test/v1", "c.test")
    await add_results(office.desk.pool, [GOOD, replace(GOOD, domain="c.test")])

    await office.round()
    assert await office.mails() == []
    assert len(office.site.posted) == 1
    waits, posted = await office.told()
    assert (waits.done, posted.done) == (False, True)
    assert "example.test has no DKIM key" in waits.how
    assert posted.how == "https://reports.test/v1"

    office.desk = replace(office.desk, sign=signed)
    await office.later()
    await office.round()
    assert len(await office.mails()) == 1


async def test_it_is_given_up_after_a_day(office: Office) -> None:
    office.ask("https://reports.test/v1")
    office.site.status = 500
    await add_results(office.desk.pool, [GOOD])
    await office.round()
    await office.desk.pool.execute(
        "update tls_reports set again_at = now(), first_at = first_at - interval '25 hours'"
    )

    await office.round()

    assert [each.done for each in await office.told()] == [True]


async def test_who_does_not_ask_gets_none_and_who_cannot_be_asked_waits(office: Office) -> None:
    silent = replace(GOOD, domain="c.test")
    office.zone.records["_smtp._tls.c.test"] = ["SERVFAIL"]
    await add_results(office.desk.pool, [GOOD, silent])

    assert await office.round() == 2

    assert [(each.domain, each.done) for each in await office.told()] == [
        ("b.test", True),
        ("c.test", False),
    ]
    assert await office.mails() == []


async def test_a_day_that_is_not_over_waits(office: Office) -> None:
    office.ask("mailto:a@b.test")
    await add_results(office.desk.pool, [GOOD])

    assert await office.round(datetime(2026, 11, 21, 23, 59, tzinfo=UTC)) == 0
    assert await office.round(datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC)) == 0  # not at midnight
    assert await office.round(datetime(2026, 11, 22, 4, tzinfo=UTC)) == 1


async def test_more_domains_than_one_look_takes(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_reports, "BATCH", 3)
    await add_results(office.desk.pool, [replace(GOOD, domain=f"d{n}.test") for n in range(10)])

    assert await office.round() == 10
    assert len(await office.told()) == 10


async def test_what_is_old_is_forgotten(office: Office) -> None:
    await add_results(office.desk.pool, [GOOD])

    await office.round(NOW + timedelta(days=30))

    assert await results_of(office.desk.pool, DAY, "b.test") == ()
    assert await office.told() == []
