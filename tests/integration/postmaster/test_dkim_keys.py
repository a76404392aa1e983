"""DKIM keys as an operator handles them: made, published, checked, let sign, replaced, taken over."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from posthouse.authenticity.dkim import digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from posthouse.bus.connection import connect
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import header_end
from posthouse.resolver import Resolver
from posthouse.runtime.dkim_keys import SigningKeys, look_at_keys
from posthouse.storage.dkim_keys import count_faulty
from posthouse.storage.pool import Pool
from posthouse.telemetry.probes import Probes
from postmaster.duties.dkim_keys import Locksmith
from postmaster.settings import PostmasterSettings
from support.dns_zone import Zone, serve_zone
from support.postmaster import GRACE, LivePostmaster, live_postmaster

pytestmark = pytest.mark.integration

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"
LETTER = b"From: anna@example.test\r\nSubject: hello\r\n\r\nHi.\r\n"


@dataclass
class Office:
    """A postmaster, and a name server that both sides ask."""

    live: LivePostmaster
    zone: Zone

    async def made(self, *arguments: str) -> list[dict[str, str]]:
        """Make keys by a command; return what is to be published."""
        said = await self.live.cli("dkim", *arguments, "--json")
        assert said.exit_code == 0, said.output
        return list(json.loads(said.stdout))

    def publish(self, key: dict[str, str]) -> None:
        pieces = key["zone"].partition("(")[2].rpartition(")")[0].strip()
        self.zone.records[key["name"]] = [f"TXT {pieces}"]

    async def states(self) -> dict[str, str]:
        said = await self.live.cli("dkim", "list", "--json")
        return {row["selector"]: row["state"] for row in json.loads(said.stdout)}

    async def results(self) -> list[tuple[str, str]]:
        """Sign a letter as any service does now; return what a reader makes of it."""
        octets = await SigningKeys(self.live.pool, self.live.parts.settings).signed(
            LETTER, "example.test"
        )
        start = header_end(octets)
        header, names = Header(octets[:start]), Resolver(self.zone.nameservers)
        digests = digest_bodies([octets[start:]], {"simple"})
        found = await verify(names, header, signatures_in(header), digests)
        return [(each.selector, each.result) for each in found]

    def locksmith(self, lasts: timedelta = timedelta()) -> Locksmith:
        return Locksmith(
            pool=self.live.pool,
            settings=self.live.parts.settings,
            nameservers=self.zone.nameservers,
            published=timedelta(days=7),
            lasts=lasts,
        )


@pytest.fixture
async def office(postmaster_settings: PostmasterSettings, pool: Pool) -> AsyncIterator[Office]:
    async with serve_zone({}) as zone, connect(NOWHERE, Probes(), "t", grace=GRACE) as broker:
        settings = postmaster_settings.model_copy(update={"nameservers": zone.nameservers})
        async with live_postmaster(settings, pool, broker) as live:
            yield Office(live, zone)


async def test_a_key_signs_once_dns_shows_it_and_not_before(office: Office) -> None:
    made = await office.made("create", "example.test", "--algorithm", "both", "--selector", "k")
    assert [key["selector"] for key in made] == ["kr", "ke"]
    early = await office.live.cli("dkim", "activate", "example.test", "kr")
    assert early.exit_code == 1
    assert "nothing is published at kr._domainkey.example.test" in early.output
    assert await office.results() == []

    for key in made:
        office.publish(key)
        said = await office.live.cli("dkim", "activate", "example.test", key["selector"])
        assert said.exit_code == 0, said.output
    assert await office.results() == [("ke", "pass"), ("kr", "pass")]


async def test_check_says_what_is_wrong(office: Office) -> None:
    [key] = await office.made("create", "example.test", "--selector", "k")
    office.zone.records[key["name"]] = [f'TXT "{record_of(make_pem("ed25519"))}"']
    said = await office.live.cli("dkim", "check", "example.test")
    assert said.exit_code == 1
    assert "another key is published" in said.output
    office.publish(key)
    said = await office.live.cli("dkim", "check", "example.test", "k")
    assert said.exit_code == 0, said.output


async def test_a_successor_takes_over_once_dns_shows_it(office: Office) -> None:
    [old] = await office.made("create", "example.test", "--selector", "old")
    office.publish(old)
    await office.live.cli("dkim", "activate", "example.test", "old")

    [new] = await office.made("rotate", "example.test")
    await office.locksmith().look()
    assert await office.results() == [("old", "pass")]
    office.publish(new)
    await office.locksmith().look()

    assert await office.results() == [(new["selector"], "pass")]
    assert await office.states() == {"old": "retiring", new["selector"]: "active"}
    await office.live.pool.execute("update dkim_keys set retiring_at = now() - interval '8 days'")
    await office.locksmith().look()
    assert (await office.states())["old"] == "retired"
    refused = await office.live.cli("dkim", "delete", "example.test", new["selector"])
    assert refused.exit_code == 1
    gone = await office.live.cli("dkim", "delete", "example.test", "old")
    assert gone.exit_code == 0, gone.output


async def test_old_keys_get_successors_by_themselves(office: Office) -> None:
    [old] = await office.made("create", "example.test", "--selector", "old")
    office.publish(old)
    await office.live.cli("dkim", "activate", "example.test", "old")
    await office.locksmith(timedelta(days=30)).look()
    assert list(await office.states()) == ["old"]
    await office.live.pool.execute("update dkim_keys set active_at = now() - interval '31 days'")
    for _ in range(2):  # one successor, however often somebody looks
        await office.locksmith(timedelta(days=30)).look()
    assert sorted((await office.states()).values()) == ["active", "pending"]


async def test_opendkims_key_table_is_taken_over(office: Office, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text(make_pem("rsa"))
    table = tmp_path / "key.table"
    table.write_text("# ours\ns._domainkey.example.test example.test:s:a.pem\n")
    said = await office.live.cli("dkim", "import-table", str(table))
    assert said.exit_code == 0, said.output
    assert await office.states() == {"s": "pending"}
    (tmp_path / "b.pem").write_text("no key\n")
    wrong = await office.live.cli("dkim", "import", "example.test", "t", str(tmp_path / "b.pem"))
    assert wrong.exit_code == 1
    assert "no private key" in wrong.output


async def test_private_halves_stay_where_they_are(
    office: Office, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    pem = make_pem("rsa")
    secret = pem.splitlines()[3]
    body = {"domain": "example.test", "selector": "s", "pem": pem}
    answers = [
        await office.live.http.post("/dkim/keys/import", json=body),
        await office.live.http.post("/dkim/keys/import", json={**body, "pem": pem[:-100]}),
        await office.live.http.post("/dkim/keys/example.test/s/activate?force=true"),
        await office.live.http.get("/dkim/keys"),
        await office.live.http.get("/audit"),
    ]
    seen = "".join(each.text for each in answers) + caplog.text + "".join(capfd.readouterr())
    assert record_of(pem) in seen
    assert secret not in seen
    assert "PRIVATE KEY" not in seen
    [row] = await office.live.pool.fetch("select sealed from dkim_keys")
    assert secret.encode() not in bytes(row["sealed"])


async def test_what_signs_and_stands_no_more_in_dns_is_told(office: Office) -> None:
    [key] = await office.made("create", "example.test", "--selector", "k")
    office.publish(key)
    await office.live.cli("dkim", "activate", "example.test", "k")
    office.zone.records[key["name"]] = ["SERVFAIL"]
    await office.live.pool.execute("update dkim_keys set checked_at = null")
    await office.locksmith().look()
    said = await office.live.cli("dkim", "list", "--json")
    assert json.loads(said.stdout)[0]["fault"].startswith("DNS gave no answer")
    del office.zone.records[key["name"]]
    await office.locksmith().look()  # it was looked at just now
    assert await count_faulty(office.live.pool) == 1
    await office.live.pool.execute("update dkim_keys set checked_at = now() - interval '2 hours'")
    await office.locksmith().look()
    [row] = json.loads((await office.live.cli("dkim", "list", "--json")).stdout)
    assert row["fault"] == f"nothing is published at {key['name']}"
    assert row["state"] == "active"  # that is the operator's to decide


async def test_a_secret_that_is_set_later_seals_anew(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    pool, before = office.live.pool, office.live.parts.settings
    [key] = await office.made("create", "example.test", "--selector", "k")
    office.publish(key)
    await office.live.cli("dkim", "activate", "example.test", "k")
    after = before.model_copy(update={"dkim_secret": SecretStr("s" * 32)})
    assert await SigningKeys(pool, after).signed(LETTER, "example.test") != LETTER

    await replace(office.locksmith(), settings=after).look()
    await pool.execute("delete from secrets where name = 'dkim keys'")

    assert await SigningKeys(pool, after).signed(LETTER, "example.test") != LETTER
    with pytest.raises(Unavailable):
        await SigningKeys(pool, before).signed(LETTER, "example.test")
    capfd.readouterr()
    await look_at_keys(pool, after)
    assert "DKIM" not in capfd.readouterr().err
    await look_at_keys(pool, before)
    told = capfd.readouterr().err
    assert "set POSTHOUSE_DKIM_SECRET" in told
    assert "DKIM keys cannot be opened" in told
    assert "example.test" in told


async def test_a_key_of_another_secret_stops_mail_instead_of_leaving_it_unsigned(
    office: Office,
) -> None:
    await office.made("create", "example.test", "--selector", "k")
    await office.live.cli("dkim", "activate", "example.test", "k", "--force")
    await office.live.pool.execute(
        "update secrets set secret = sha256(secret) where name = 'dkim keys'"
    )
    with pytest.raises(Unavailable, match="sealed under another secret"):
        await office.results()
