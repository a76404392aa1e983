"""Reports of others, read from their mails: real PostgreSQL and name server, both kinds alike."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from posthouse.authenticity.dkim import Signer, digest_bodies, sign
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from posthouse.mail.header import header_end
from posthouse.mail.ids import new_id, object_key
from posthouse.mail.return_path import ReturnPaths
from posthouse.resolver import Resolver
from posthouse.storage import directory
from posthouse.storage.dmarc_results import DmarcResult, Facts, add_dmarc_results
from posthouse.storage.incoming import IncomingReport, note_incoming
from posthouse.storage.suppressing import Terms
from posthouse.storage.tls_results import Result
from postmaster.duties.reader import Reader
from postmaster.reports import dmarc, tls
from postmaster.reports.letter import Letterhead, Report, compose_mail
from support.dns_zone import Zone, serve_zone
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

HEAD = Letterhead(host="mail.far.test", organization="Us & Co", address="r@reports.far.test")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
DAY = date(2026, 11, 21)
KEY = make_pem("ed25519")
SIGNER = Signer(domain="far.test", selector="s", key=KEY)
KEY_NAME = "s._domainkey.far.test"
FORGED = DmarcResult(
    day=DAY, domain="b.test", messages=3,
    facts=Facts(published="p=reject", source="192.0.2.9", author="b.test", disposition="reject"),
)  # fmt: skip
LATE = Result(
    day=DAY,
    domain="b.test",
    kind="sts",
    sessions=3,
    failure="certificate-expired",
    host="mx.b.test",
)


def on_tls(domain: str = "b.test", head: Letterhead = HEAD) -> Report:
    results = [replace(LATE, domain=domain), Result(day=DAY, domain=domain, kind="sts", sessions=7)]
    return tls.compose(head, DAY, domain, results)


@dataclass
class Desk:
    """The reader, and the world that writes to it."""

    clerk: LivePostmaster
    zone: Zone

    async def comes(self, report: Report, signer: Signer | None = SIGNER) -> None:
        """Let a mail with ``report`` have come to the address for reports."""
        octets = compose_mail(HEAD, report, ["agg@b.test"], "<1@x.test>", NOW)
        if signer is not None:
            start = header_end(octets)
            digest = digest_bodies([octets[start:]], {"simple"})["simple"]
            octets = sign(Header(octets[:start]), digest, [signer], NOW) + octets
        ident = new_id()
        await self.clerk.parts.blobs.put(object_key(ident), octets)
        await note_incoming(self.clerk.pool, [IncomingReport(id=ident, size=len(octets))])

    async def read(self) -> int:
        """Let the reader work, with an empty memory of DNS."""
        reader = Reader(
            pool=self.clerk.pool,
            blobs=self.clerk.parts.blobs,
            paths=ReturnPaths(b"fedcba9876543210"),
            terms=Terms(0, timedelta(days=30)),
            names=Resolver(self.zone.nameservers, lifetime=timedelta(seconds=1)),
        )
        return await reader.read_all()

    async def shown(self, *arguments: str) -> list[dict[str, object]]:
        said = await self.clerk.cli(*arguments, "--json")
        assert said.exit_code == 0, said.output
        return list(json.loads(said.stdout))

    async def read_as(self) -> list[str | None]:
        rows = await self.clerk.pool.fetch("select kind from incoming_reports order by id")
        return [row["kind"] for row in rows]

    async def later(self) -> None:
        await self.clerk.pool.execute("update incoming_reports set again_at = now()")


@pytest.fixture
async def desk(clerk: LivePostmaster) -> AsyncIterator[Desk]:
    await directory.add_domain(clerk.pool, "b.test")
    record = record_of(KEY).replace("k=", "s=tlsrpt; k=", 1)  # a key may end so, too
    async with serve_zone({KEY_NAME: [f'TXT "{record}"']}) as zone:
        yield Desk(clerk, zone)


async def test_dmarc_reports_are_kept_once_and_shown(desk: Desk) -> None:
    desk.zone.records[KEY_NAME] = [f'TXT "{record_of(KEY)}"']
    report = dmarc.compose(HEAD, DAY, "b.test", [FORGED])
    for each in (report, report, dmarc.compose(HEAD, DAY, "stranger.test", [FORGED])):
        await desk.comes(each)
    await desk.comes(report, signer=None)
    assert await desk.read() == 4

    found = await desk.shown("dmarc", "reports", "b.test")
    assert [row["signed_by"] for row in found] == ["far.test", ""]
    assert (found[0]["organization"], found[0]["messages"], found[0]["failed"]) == ("Us & Co", 3, 3)
    assert len(await desk.shown("dmarc", "reports")) == 2
    assert "192.0.2.9" in (await desk.clerk.cli("dmarc", "reports", "--sources")).output
    await add_dmarc_results(desk.clerk.pool, [FORGED])
    assert (await desk.shown("dmarc", "results"))[0]["disposition"] == "reject"
    assert (await desk.clerk.cli("dmarc", "sent")).output.strip() == "No report was due."


async def test_tls_reports_that_their_author_signed_are_kept_once_and_shown(desk: Desk) -> None:
    await directory.add_domain(desk.clerk.pool, "bücher.test")
    for report in (on_tls(), on_tls(), on_tls("stranger.test"), on_tls("mx.bücher.test")):
        await desk.comes(report)
    await desk.comes(on_tls("b.test", replace(HEAD, host="else.test")), signer=None)
    await desk.comes(
        on_tls("b.test", replace(HEAD, host="evil.test")), replace(SIGNER, domain="evil.test")
    )
    assert await desk.read() == 6

    assert await desk.read_as() == ["tls-report"] * 6
    assert len(await desk.shown("tls", "reports", "mx.bücher.test")) == 1
    [row] = await desk.shown("tls", "reports", "b.test")
    assert (row["domain"], row["sessions"], row["passed"], row["failed"]) == ("b.test", 10, 7, 3)
    assert (row["organization"], row["signed_by"]) == ("Us & Co", "far.test")
    table = (await desk.clerk.cli("tls", "reports", "b.test", "--sources", "--days", "400")).output
    assert "certificate-expired" in table
    assert (await desk.clerk.cli("tls", "reports", "c.test")).output.strip() == "No report came."
    first = await desk.clerk.http.get("/tls/reports", params={"limit": 1})
    assert first.json()["next"] == f"{row['message']}|b.test"
    after = await desk.clerk.http.get("/tls/reports", params={"after": first.json()["next"]})
    assert [each["domain"] for each in after.json()["items"]] == ["mx.xn--bcher-kva.test"]
    rubbish = await desk.clerk.http.get("/tls/reports", params={"after": "rubbish"})
    assert rubbish.status_code == 422


async def test_while_dns_is_silent_a_report_waits_and_is_read_then(desk: Desk) -> None:
    key, desk.zone.records[KEY_NAME] = desk.zone.records[KEY_NAME], ["SERVFAIL"]
    await desk.comes(on_tls())
    assert await desk.read() == 1
    assert await desk.read() == 0  # not at once
    assert await desk.read_as() == [None]
    assert await desk.shown("tls", "reports") == []

    desk.zone.records[KEY_NAME] = key
    await desk.later()
    await desk.read()
    assert len(await desk.shown("tls", "reports")) == 1


async def test_what_dns_never_tells_of_is_unsigned_in_the_end(desk: Desk) -> None:
    desk.zone.records[KEY_NAME] = ["SERVFAIL"]
    await desk.comes(on_tls())
    await desk.comes(dmarc.compose(HEAD, DAY, "b.test", [FORGED]))
    for _ in range(5):
        assert await desk.read() == 2
        await desk.later()

    assert await desk.read() == 0
    assert await desk.read_as() == ["tls-report", "dmarc-report"]
    assert await desk.shown("tls", "reports") == []
    assert [row["signed_by"] for row in await desk.shown("dmarc", "reports")] == [""]
