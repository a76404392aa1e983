"""A forwarder that is trusted vouches for mail it has changed; while DNS hides its key, the sender waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from policy_engine.content.authenticating import Authenticating
from policy_engine.content.case import Case
from policy_engine.content.senders import findings_on
from posthouse.authenticity.arc import Arc, read_chain, seal
from posthouse.authenticity.dkim import Signer, digest_bodies
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from support.names import FakeNames

PEM = make_pem("rsa")
KEY = "k._domainkey.l.test"
ZONE = {"_dmarc.a.test": {"TXT": ["v=DMARC1; p=reject"]}, KEY: {"TXT": [record_of(PEM)]}}
HEAD, BODY = b"From: x@a.test\r\nSubject: [list] hi\r\n\r\n", b"Hi.\r\n-- \r\nthe list\r\n"


def sealed() -> bytes:
    """Return mail that a list has changed, and says that it passed DMARC before."""
    signer = Signer(domain="l.test", selector="k", key=PEM)
    digest = digest_bodies([BODY], {"simple"})["simple"]
    results = "l.test; dmarc=pass header.from=a.test"
    found = (read_chain(Header(HEAD)), Arc(result="none"))
    return seal(Header(HEAD), digest, signer, found, results, datetime.now(UTC)) + HEAD + BODY


async def actions(names: FakeNames, *trusted: str) -> dict[str, str | None]:
    asked = []

    async def believed(domains: frozenset[str]) -> frozenset[str]:
        asked.append(domains)
        return domains & set(trusted)

    authenticating = Authenticating(names, "mx.b.test", timedelta(seconds=30), believed)
    octets = sealed()
    case = Case(
        id=UUID(int=1), client="192.0.2.1", sender="y@l.test", hello="l.test", octets=octets,
        size=len(octets),
    )  # fmt: skip
    found = await authenticating(case)
    arc = next(str(each) for each in found.results("", "", case.client) if each.method == "arc")
    assert arc.endswith("smtp.remote-ip=192.0.2.1")
    assert ("header.oldest-pass=0" in arc) == arc.startswith("arc=pass")
    assert asked == [{"l.test"}]
    return {each.rule: each.action for each in findings_on(found)}


async def test_only_who_is_trusted_vouches() -> None:
    found = await actions(FakeNames(ZONE), "l.test")
    assert found["DMARC_FAIL"] is None
    assert "ARC_TRUSTED" in found

    found = await actions(FakeNames(ZONE), "other.test")
    assert found["DMARC_FAIL"] == "reject"
    assert "ARC_TRUSTED" not in found


@pytest.mark.parametrize("trusted", [True, False])
async def test_silent_dns_is_no_verdict_on_mail_of_a_trusted_sealer(trusted: bool) -> None:  # noqa: FBT001
    names = FakeNames({"_dmarc.a.test": ZONE["_dmarc.a.test"]}, frozenset({KEY}))
    found = await actions(names, *(["l.test"] if trusted else []))
    assert found.get("ARC_AWAITED") == ("tempfail" if trusted else None)
    assert found["DMARC_FAIL"] == "reject"
