"""The reporter on DMARC: real PostgreSQL and name server; each domain hears of each day once."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from posthouse.blobs import Blobs, open_blobs
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import object_key
from posthouse.resolver import Resolver
from posthouse.runtime.tls import client_context
from posthouse.runtime.web import Web
from posthouse.storage.dmarc_results import (
    DMARC_DAYS,
    DmarcResult,
    Facts,
    Signed,
    add_dmarc_results,
)
from posthouse.storage.pool import Pool
from postmaster.duties.daily_reports import Desk, report_on_days
from postmaster.duties.dmarc_reports import OnDmarc
from postmaster.reports.letter import Letterhead
from support.dns_zone import Zone, serve_zone

pytestmark = pytest.mark.integration

HEAD = Letterhead(host="mail.example.test", organization="Us & Co", address="dmarc@example.test")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
DAY = date(2026, 11, 21)
FORGED = Facts(
    published="p=reject; sp=none; adkim=s; aspf=r; pct=100",
    source="192.0.2.9",
    author="news.b.test",
    sender="far.test",
    disposition="reject",
    spf_domain="far.test",
    spf_result="pass",
    signatures=(Signed("c.test", "s<1>", "fail"), Signed("d.test", "", "temperror")),
)


@dataclass
class Office:
    """The reporter and the world around it."""

    desk: Desk
    zone: Zone

    async def count(self, facts: Facts = FORGED, messages: int = 3, domain: str = "b.test") -> None:
        result = DmarcResult(day=DAY, domain=domain, facts=facts, messages=messages)
        await add_dmarc_results(self.desk.pool, [result])

    def ask(self, rua: str, domain: str = "b.test") -> None:
        self.zone.records[f"_dmarc.{domain}"] = [f'TXT "v=DMARC1; p=reject; rua={rua}"']

    async def told(self) -> list[str]:
        return [each.how for each in await DMARC_DAYS.sent(self.desk.pool, (date.min, ""), 100)]

    async def mails(self) -> list[tuple[list[str], bytes]]:
        """Return recipients and octets of what was entered."""
        rows = await self.desk.pool.fetch(
            "select e.id, array_agg(r.address order by r.n) as to from envelopes e"
            " join recipients r on r.envelope = e.id group by e.id order by e.id"
        )
        return [(list(row["to"]), await self.desk.blobs.get(object_key(row["id"]))) for row in rows]


async def signed(octets: bytes, domain: str) -> bytes:
    return f"X-Signed: {domain}\r\n".encode() + octets


@pytest.fixture
async def office(pool: Pool, tmp_path: Path) -> AsyncIterator[Office]:
    async with serve_zone({}) as zone, open_blobs(f"disk:{tmp_path}") as blobs:
        names = Resolver(zone.nameservers)
        async with Web(names, client_context()) as web:
            kind = OnDmarc(pool, names)
            yield Office(
                Desk(pool=pool, blobs=blobs, web=web, kind=kind, head=HEAD, sign=signed), zone
            )


def report_in(octets: bytes) -> ET.Element:
    attached = octets.partition(b"Content-Transfer-Encoding: base64\r\n\r\n")[2]
    return ET.fromstring(gzip.decompress(b64decode(attached.partition(b"\r\n--")[0])))  # noqa: S314 - our own


async def test_a_report_says_what_became_of_a_day(office: Office) -> None:
    await office.count()
    await office.count(messages=4)
    await office.count(replace_facts(FORGED, disposition="none", reason="local_policy"), 1)
    office.ask("mailto:agg@b.test")
    assert await report_on_days(office.desk, NOW) == 1

    [(to, octets)] = await office.mails()
    assert to == ["agg@b.test"]
    head = octets.partition(b"\r\n\r\n")[0].decode()
    assert head.startswith("X-Signed: example.test\r\nFrom: dmarc@example.test\r\n")
    assert (
        "Subject: Report Domain: b.test Submitter: mail.example.test\r\n"
        " Report-ID: <20261121.b.test@mail.example.test>\r\n"
    ) in head
    assert b'filename="mail.example.test!b.test!1795219200!1795305599.xml.gz"' in octets
    report = report_in(octets)
    assert report.findtext("report_metadata/org_name") == "Us & Co"
    assert report.findtext("policy_published/adkim") == "s"
    first, second = report.findall("record")
    assert first.findtext("row/count") == "7"
    assert first.findtext("row/policy_evaluated/disposition") == "reject"
    assert first.findtext("identifiers/header_from") == "news.b.test"
    assert [each.findtext("selector") for each in first.findall("auth_results/dkim")] == [
        "s<1>",
        None,
    ]
    assert second.findtext("row/policy_evaluated/reason/type") == "local_policy"
    assert await office.told() == ["agg@b.test"]


def replace_facts(facts: Facts, **changes: str) -> Facts:
    return Facts(**{name: getattr(facts, name) for name in facts.__struct_fields__} | changes)


@pytest.mark.parametrize(
    ("rua", "agreed", "gone"),
    [
        ("mailto:a@far.test", [], []),
        ("mailto:a@far.test", ['TXT "v=DMARC1"'], ["a@far.test"]),
        ("mailto:a@far.test", ['TXT "v=DMARC1; rua=mailto:x@far.test"'], ["x@far.test"]),
        ("mailto:a@far.test", ['TXT "v=DMARC1; rua=mailto:x@else.test"'], ["a@far.test"]),
        ("mailto:a@b.test!100,mailto:b@sub.b.test!1m", [], ["b@sub.b.test"]),
        ("mailto:a@b.test!0,mailto:b@b.test!10x,mailto:c@b.test!2k", [], ["c@b.test"]),
        (f"mailto:a@{'x' * 63}.{'y' * 63}.{'z' * 63}.{'w' * 44}.test", ['TXT "v=DMARC1"'], []),
        ("mailto:a@b.test,mailto:a@b.test,https://b.test/", [], ["a@b.test"]),
    ],
)
async def test_who_gets_it(office: Office, rua: str, agreed: list[str], gone: list[str]) -> None:
    await office.count()
    office.ask(rua)
    if agreed:
        office.zone.records["b.test._report._dmarc.far.test"] = agreed
    await report_on_days(office.desk, NOW)
    assert [to for to, _ in await office.mails()] == ([gone] if gone else [])


async def test_while_dns_is_silent_it_waits_and_goes_once_then(office: Office) -> None:
    await office.count()
    office.zone.records["_dmarc.b.test"] = ["SERVFAIL"]
    await report_on_days(office.desk, NOW)
    [how] = await office.told()
    assert how.startswith("DNS gave no answer: ")
    office.ask("mailto:agg@b.test")
    await office.desk.pool.execute("update dmarc_reports set again_at = now()")
    afresh = OnDmarc(office.desk.pool, Resolver(office.zone.nameservers))
    desk = replace(office.desk, kind=afresh)
    await asyncio.gather(*(report_on_days(desk, NOW) for _ in range(4)))
    await report_on_days(desk, NOW + timedelta(days=1))
    assert len(await office.mails()) == 1


async def test_a_report_that_could_not_be_stored_goes_later_and_whole(office: Office) -> None:
    await office.count()
    office.ask("mailto:agg@b.test")

    class Away:
        async def put(self, *_: object) -> None:
            raise Unavailable("the store is away")

    blobs: Blobs = Away()  # type: ignore[assignment]  # only this is asked
    with pytest.raises(Unavailable):
        await report_on_days(replace(office.desk, blobs=blobs), NOW)
    assert await office.mails() == []
    await report_on_days(office.desk, NOW)
    assert len(await office.mails()) == 1


async def test_today_is_not_reported_and_old_days_are_forgotten(office: Office) -> None:
    await office.count()
    assert await report_on_days(office.desk, datetime(2026, 11, 21, 23, tzinfo=UTC)) == 0
    await report_on_days(office.desk, NOW + timedelta(days=20))
    assert await office.desk.pool.fetchval("select count(*) from dmarc_results") == 0
