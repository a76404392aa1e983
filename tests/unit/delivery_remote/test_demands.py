"""Sessions with servers whose TLS is bad in each way, and what is demanded of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from delivery_remote.routes import Target, Tls
from delivery_remote.security.contexts import Contexts, Trust
from delivery_remote.security.proofs import (
    ANYBODY,
    NAMED,
    Demand,
    Pinned,
    Policy,
    Proof,
    Recorded,
)
from delivery_remote.session import Manners, Refused, Session, open_session
from delivery_remote.transcript import Stage
from posthouse.mail.tls_words import Failure, Fault
from posthouse.runtime.tls_context import Pair
from support.chains import Issued, authority
from support.outside import QUICK, manners, target
from support.scripted_smtp import DROP, JUNK_TLS, Peer, scripted

SECURE = "250-peer.test\n250-PIPELINING\n250 STARTTLS"
PLAIN = "250-peer.test\n250 PIPELINING"
NAME = "peer.test"
POLICY = Policy(kind="sts", domain="b.test")
ROOT = authority()
GOOD = ROOT.issue(NAME)
EXPIRED = ROOT.issue(NAME, ends=timedelta(days=-1))
MISNAMED = ROOT.issue("other.test")
STRANGE = authority("Nobody's").issue(NAME)


class Told:
    """Remembers what it is told of sessions."""

    def __init__(self) -> None:
        self.faults: list[Fault | None] = []
        self.sources: list[str] = []

    def __call__(self, target: Target, fault: Fault | None) -> None:
        self.faults.append(fault)
        self.sources.append(target.source)

    @property
    def failures(self) -> list[Failure | None]:
        return [fault.failure if fault else None for fault in self.faults]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def polite(tmp_path: Path, told: Told) -> Manners:
    """Manners that trust ROOT."""
    contexts = Contexts(ROOT.pem(tmp_path / "root.pem"))
    return replace(manners(), contexts=contexts, tell=told)


@pytest.fixture
def shows(tmp_path: Path) -> Callable[[Issued], ssl.SSLContext]:
    return lambda issued: issued.server(tmp_path)


def demanding(peer: Peer, proof: Proof = NAMED, **more: object) -> Target:
    demand = Demand(when="must", proof=proof, name="test", policy=POLICY)
    return replace(
        target(peer, tls=Tls.REQUIRED),
        demand=replace(demand, **more),  # type: ignore[arg-type]
    )


async def opened(wanted: Target, polite: Manners) -> Session:
    session = await open_session(wanted, polite)
    session.abort()
    return session


@pytest.mark.parametrize(
    ("shown", "failure"),
    [
        (EXPIRED, Failure.EXPIRED),
        (MISNAMED, Failure.HOST_MISMATCH),
        (STRANGE, Failure.NOT_TRUSTED),
    ],
)
async def test_a_certificate_that_does_not_fit_is_no_session(
    polite: Manners, told: Told, shows: Callable[..., ssl.SSLContext], shown: Issued,
    failure: Failure,
) -> None:  # fmt: skip
    async with scripted(EHLO=SECURE, tls=shows(shown)) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(demanding(peer), polite)
        await opened(demanding(peer, ANYBODY), polite)

    assert refused.value.refusal.stage is Stage.TLS
    assert "4.7.5 certificate" in str(refused.value)
    assert told.failures == [failure, None]
    assert not [word for word in peer.commands if word.startswith("MAIL")]


@pytest.mark.parametrize("reply", [JUNK_TLS, "454 4.7.0 no TLS now", "502 what?", DROP])
async def test_bad_tls_is_no_session_where_it_is_a_must(
    polite: Manners, told: Told, reply: str
) -> None:
    async with scripted(EHLO=SECURE, STARTTLS=reply) as peer:
        for proof in (NAMED, ANYBODY):
            with pytest.raises(Refused):
                await open_session(demanding(peer, proof), polite)

    assert None not in told.faults
    assert told.sources == ["127.0.0.1"] * 2
    assert peer.connections == 2


async def test_no_tls_is_no_session_where_it_is_a_must(polite: Manners, told: Told) -> None:
    async with scripted(EHLO=PLAIN) as peer:
        with pytest.raises(Refused):
            await open_session(demanding(peer, ANYBODY), polite)

    assert told.failures == [Failure.STARTTLS_NOT_SUPPORTED]
    assert told.sources == ["127.0.0.1"]


@pytest.mark.parametrize("shown", [EXPIRED, MISNAMED, STRANGE])
async def test_a_policy_that_is_tested_is_told_of_and_the_mail_goes(
    polite: Manners, told: Told, shows: Callable[..., ssl.SSLContext], shown: Issued
) -> None:
    async with scripted(EHLO=SECURE, tls=shows(shown)) as peer:
        wanted = demanding(peer, is_tested=True)
        session = await opened(wanted, polite)

    assert session.tls
    assert session.target == wanted
    assert "after certificate-" in session.security
    assert len(told.faults) == 1
    assert told.faults[0] is not None


@pytest.mark.parametrize("reply", [JUNK_TLS, DROP])
async def test_a_tested_policy_goes_down_to_plain_text(
    polite: Manners, told: Told, reply: str
) -> None:
    async with scripted(EHLO=SECURE, STARTTLS=reply) as peer:
        session = await opened(demanding(peer, is_tested=True), polite)

    assert session.tls == ""
    assert "after validation-failure" in session.security
    assert session.has_failed_tls
    assert peer.connections == 3
    assert len(told.faults) == 1


async def test_a_server_with_an_objection_is_not_called(polite: Manners, told: Told) -> None:
    fault = Fault(Failure.VALIDATION, "not an mx of the policy")
    async with scripted(EHLO=PLAIN) as peer:
        with pytest.raises(Refused) as refused:
            await open_session(demanding(peer, objection=fault), polite)
        called = peer.connections
        await opened(demanding(peer, objection=fault, is_tested=True), polite)

    assert called == 0
    assert peer.connections == 1
    assert "454 4.7.5 not an mx" in str(refused.value)
    assert told.faults == [fault, fault]


async def test_none_means_plain_text_also_where_tls_is_offered(
    polite: Manners, told: Told, shows: Callable[..., ssl.SSLContext]
) -> None:
    async with scripted(EHLO=SECURE, tls=shows(GOOD)) as peer:
        session = await opened(target(peer, tls=Tls.NONE), polite)

    assert session.tls == ""
    assert peer.encrypted == 0
    assert told.faults == []


@pytest.mark.parametrize("shown", [STRANGE, EXPIRED, MISNAMED])
async def test_a_pin_fits_whatever_else_the_certificate_says(
    polite: Manners, shows: Callable[..., ssl.SSLContext], shown: Issued
) -> None:
    pins = (sha256(shown.der).hexdigest(),)
    async with scripted(EHLO=SECURE, tls=shows(shown)) as peer:
        assert (await opened(demanding(peer, Pinned(pins)), polite)).tls
        with pytest.raises(Refused, match="fingerprint"):
            await open_session(demanding(peer, Pinned(("0" * 64,))), polite)


async def test_tlsa_records_are_held_against_what_the_server_shows(
    polite: Manners, told: Told, shows: Callable[..., ssl.SSLContext]
) -> None:
    own, root = STRANGE.tlsa(3), STRANGE.issue("x.test")
    between = ROOT.issue(ca=True)
    async with scripted(EHLO=SECURE, tls=shows(STRANGE)) as peer:
        await opened(demanding(peer, Recorded((own,), (NAME,))), polite)
        with pytest.raises(Refused, match="TLSA"):
            await open_session(demanding(peer, Recorded((root.tlsa(3),), (NAME,))), polite)
    async with scripted(EHLO=SECURE, tls=shows(between.issue(NAME))) as peer:
        await opened(demanding(peer, Recorded((ROOT.tlsa(2),), (NAME,))), polite)
        with pytest.raises(Refused, match="not issued by"):
            await open_session(demanding(peer, Recorded((ROOT.tlsa(2),), ("x.test",))), polite)

    assert told.failures == [None, Failure.VALIDATION, None, Failure.HOST_MISMATCH]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_implicit_tls_is_held_against_pins_too(
    polite: Manners, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server = STRANGE.server(tmp_path)
    server.minimum_version = server.maximum_version = version
    pins = (sha256(STRANGE.der).hexdigest(),)
    async with scripted(tls=server, implicit=True) as peer:
        wanted = replace(demanding(peer, Pinned(pins)), tls=Tls.IMPLICIT)
        assert (await opened(wanted, polite)).tls
        with pytest.raises(Refused):
            await open_session(replace(wanted, demand=Demand(when="must")), polite)
        with pytest.raises(Refused, match="fingerprint"):
            await open_session(
                replace(wanted, demand=Demand(when="must", proof=Pinned(("0" * 64,)))), polite
            )


async def test_our_certificate_is_shown_where_that_is_wanted_and_loaded_anew(
    tmp_path: Path, shows: Callable[..., ssl.SSLContext]
) -> None:
    """The server takes nobody without a certificate of ROOT."""
    ours = ROOT.issue("mail.example.test").pem(tmp_path / "ours.pem")
    contexts = Contexts(ROOT.pem(tmp_path / "root.pem"), Pair(ours, ours))
    contexts.prepare()
    polite = Manners(hostname="mail.example.test", patience=QUICK, contexts=contexts)
    server = shows(GOOD)
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells a client only later
    server.load_verify_locations(tmp_path / "root.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    async with scripted(EHLO=SECURE, tls=server) as peer:
        assert (await opened(demanding(peer, certificate=True), polite)).tls
        with pytest.raises(Refused):
            await open_session(demanding(peer), polite)
        before = contexts.get(Trust.PUBLIC, certificate=True)
        contexts.refresh()
        assert contexts.get(Trust.PUBLIC, certificate=True) is before
        ours.write_bytes(b"half of a renewal")
        contexts.refresh()
        assert contexts.get(Trust.PUBLIC, certificate=True) is before
        ROOT.issue("renewed.example.test").pem(ours)
        contexts.refresh()
        assert contexts.get(Trust.PUBLIC, certificate=True) is not before
        assert (await opened(demanding(peer, certificate=True), polite)).tls
