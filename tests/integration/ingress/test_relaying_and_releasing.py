"""Who gets mail through this house, and who gets what waits for them: with policy as it runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from posthouse.mail.outcome import Deferred
from posthouse.mail.status import Status
from posthouse.storage import directory, ledger
from posthouse.storage.ledger import Branch, Kept
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.dns_zone import serve_zone
from support.ledger import a_mail, rows_of
from support.place import Place
from support.relay_tricks import DOMAINS, HERE, TRICKS

pytestmark = pytest.mark.integration

ZONE = {
    "site.test": ["MX 10 mx.site.test"],
    "mx.site.test": ["A 127.0.0.1"],
    "other.test": ["MX 10 mx.other.test"],
    "mx.other.test": ["A 127.0.0.9"],
}


async def talk(place: Place, script: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    try:
        await play(script, reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_no_trick_opens_the_relay(place: Place, pool: Pool) -> None:
    for domain in DOMAINS[1:]:
        await directory.add_domain(pool, domain)
        await directory.add_account(pool, f"anna@{domain}", "x")
    script = ["S: 220 …", "C: EHLO b.test", "S* 250 …"]
    for path, fortune in (each for each in TRICKS if "\x85" not in each[0]):  # a line end to play()
        answer = "250 2.1.5 …" if fortune == HERE else f"5… {fortune} …"
        script += ["C: MAIL FROM:<e@far.test> SMTPUTF8", "S: 250 …", f"C: RCPT TO:<{path}>"]
        script += [f"S: {answer}", "C: RSET", "S: 250 …"]

    async with place.running("policy_engine"), place.running("ingress_smtp"):
        for start in range(3, len(script), 6 * 15):  # after twenty errors a session ends
            await talk(place, "\n".join(script[:3] + script[start : start + 6 * 15]))


async def test_a_site_that_has_come_up_gets_what_waits_for_it(place: Place, pool: Pool) -> None:
    mail = a_mail("a@site.test", "b@other.test")
    until = datetime.now(UTC) + timedelta(hours=4)
    await ledger.enter(pool, [mail])
    ways = [
        Branch(road="remote", address=f"{name}@{domain}", domain=domain)
        for name, domain in (("a", "site.test"), ("b", "other.test"))
    ]
    await ledger.routed(pool, [(mail.id, Kept(n, way)) for n, way in enumerate(ways)])
    away = Status(451, (4, 4, 1))
    late = [Deferred(n=n, status=away, reply="away", host="", until=until) for n in range(2)]
    await ledger.settle(pool, mail.id, late, 1, [])

    async with serve_zone(ZONE) as zone:
        place.env["POSTHOUSE_NAMESERVERS"] = zone.nameservers
        place.env["POSTHOUSE_ETRN"] = "on"
        async with place.running("policy_engine"), place.running("ingress_smtp"):
            await talk(
                place,
                "S: 220 …\nC: EHLO site.test\nS* 250 ETRN\n"
                "C: ETRN\nS: 501 5.5.4 …\nC: ETRN #queue\nS: 501 5.5.4 …\n"
                "C: ETRN other.test\nS: 459 4.7.1 …\nC: ETRN nowhere.test\nS: 459 4.7.1 …\n"
                "C: ETRN site.test\nS: 253 2.0.0 …1 pending…\nC: ETRN site.test\n"
                "S: 458 4.7.1 …\nC: QUIT\nS: 221 …",
            )

    rows = await rows_of(pool, mail.id)
    assert rows[0]["next_attempt_at"] <= datetime.now(UTC)
    assert rows[1]["next_attempt_at"] == until
