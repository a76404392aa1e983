"""Which policy counts, and what it demands: a table (RFC 7672, RFC 8461 §2, RFC 8689)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.security.dane import key_of
from delivery_remote.security.proofs import (
    ANYBODY,
    NAMED,
    Pinned,
    Recorded,
    objection,
    server_name,
)
from delivery_remote.security.sts import StsPolicy
from delivery_remote.security.tls_policy import (
    Broken,
    Dane,
    Evidence,
    Published,
    decide,
    strictly,
    with_password,
)
from posthouse.mail.tls_words import Failure, Level, Tlsa, TlsPolicy
from support.chains import authority

HOST, DOMAIN = "mx.b.test", "b.test"
RECORD = Tlsa(3, 1, 1, b"x" * 32)
UNUSABLE = Tlsa(1, 1, 1, b"x" * 32)
DANE, USELESS = Published(HOST, (RECORD,)), Published(HOST, (UNUSABLE,))
ENFORCE = StsPolicy(mode="enforce", mx=(HOST,), max_age=timedelta(days=1))
TESTING = StsPolicy(mode="testing", mx=("*.elsewhere.test",), max_age=timedelta(days=1))
NONE = StsPolicy(mode="none", mx=(), max_age=timedelta(days=1))


def own(level: Level, *, names: tuple[str, ...] = (), pins: tuple[str, ...] = ()) -> TlsPolicy:
    return TlsPolicy(domain=DOMAIN, level=level, names=names, pins=pins)


RECORDED = Recorded((RECORD,), (HOST, DOMAIN))


@pytest.mark.parametrize(
    ("evidence", "dane", "name", "when", "proof"),
    [
        (Evidence(), None, "may", "may", NAMED),
        (Evidence(own=own("none")), None, "none", "never", NAMED),
        (Evidence(own=own("encrypt")), None, "encrypt", "must", ANYBODY),
        (Evidence(own=own("verify")), None, "verify", "must", NAMED),
        (Evidence(own=own("fingerprint", pins=("ab",))), None, "fingerprint", "must", Pinned(("ab",))),
        (Evidence(domain=DOMAIN), DANE, "DANE", "must", RECORDED),
        (Evidence(), DANE, "DANE", "must", Recorded((RECORD,), (HOST,))),
        (Evidence(domain=DOMAIN), USELESS, "DANE, unusable records", "must", ANYBODY),
        (Evidence(domain=DOMAIN, sts=ENFORCE), None, "MTA-STS enforce", "must", NAMED),
        (Evidence(domain=DOMAIN, sts=NONE), None, "may", "may", NAMED),
        # DANE goes before MTA-STS, what the operator set for the domain before both.
        (Evidence(domain=DOMAIN, sts=ENFORCE), DANE, "DANE", "must", RECORDED),
        (Evidence(domain=DOMAIN, sts=ENFORCE), USELESS, "MTA-STS enforce", "must", NAMED),
        (Evidence(own=own("may"), sts=ENFORCE), DANE, "may", "may", NAMED),
        # What is set for all others comes last.
        (Evidence(others=own("encrypt")), None, "encrypt", "must", ANYBODY),
        (Evidence(others=own("none"), sts=ENFORCE), None, "MTA-STS enforce", "must", NAMED),
        (Evidence(others=own("none"), domain=DOMAIN), DANE, "DANE", "must", RECORDED),
        (Evidence(own=own("may"), others=own("verify")), None, "may", "may", NAMED),
        (Evidence(domain=DOMAIN, own=own("dane-only")), DANE, "dane-only", "must", RECORDED),
        (Evidence(own=own("encrypt"), others=own("dane-only")), None, "encrypt", "must", ANYBODY),
        (Evidence(domain=DOMAIN, others=own("dane-only"), sts=ENFORCE), None, "MTA-STS enforce", "must", NAMED),
    ],
)  # fmt: skip
def test_the_policy_that_counts(
    evidence: Evidence, dane: Dane, name: str, when: str, proof: object
) -> None:
    demand = decide(HOST, evidence, dane)

    assert (demand.name, demand.when, demand.proof) == (name, when, proof)
    assert demand.objection is None
    assert not demand.is_tested


def test_servers_that_a_policy_does_not_list_are_objected_to() -> None:
    sts = decide("mx.evil.test", Evidence(domain=DOMAIN, sts=ENFORCE))
    named = decide("mx.evil.test", Evidence(own=own("verify", names=("*.b.test",))))
    tested = decide(HOST, Evidence(domain=DOMAIN, sts=TESTING))

    for demand in (sts, named, tested):
        assert demand.objection is not None
        assert demand.objection.failure is Failure.VALIDATION
    assert tested.is_tested
    assert not sts.is_tested


def test_dane_that_cannot_be_asked_for_stops_the_server_and_nothing_comes_instead() -> None:
    demand = decide(HOST, Evidence(domain=DOMAIN, sts=ENFORCE), Broken("SERVFAIL"))

    assert demand.objection is not None
    assert demand.objection.failure is Failure.DNSSEC_INVALID


def test_a_mail_that_must_stay_secret_is_not_content_with_anybody() -> None:
    for evidence in (Evidence(), Evidence(own=own("none")), Evidence(own=own("encrypt"))):
        demand = strictly(decide(HOST, evidence))
        assert (demand.when, demand.proof) == ("must", NAMED)
    assert strictly(decide(HOST, Evidence(domain=DOMAIN), DANE)).proof == RECORDED
    assert not strictly(decide(HOST, Evidence(domain=DOMAIN, sts=TESTING))).is_tested


def test_a_password_is_never_said_to_anybody() -> None:
    for level in ("none", "may", "encrypt"):
        demand = with_password(decide(HOST, Evidence(own=own(level))))
        assert (demand.when, demand.proof) == ("must", NAMED)


def test_reports_are_told_of_what_was_published() -> None:
    sts = decide(HOST, Evidence(domain=DOMAIN, sts=ENFORCE)).policy
    dane = decide(HOST, Evidence(domain=DOMAIN), DANE).policy
    none = decide(HOST, Evidence(domain=DOMAIN, own=own("verify"))).policy

    assert (sts.kind, sts.domain) == ("sts", DOMAIN)
    assert sts.lines == ("version: STSv1", "mode: enforce", f"mx: {HOST}", "max_age: 86400")
    assert (dane.kind, dane.lines) == ("tlsa", (f"3 1 1 {'78' * 32}",))
    assert (none.kind, none.domain) == ("no-policy-found", DOMAIN)


def test_a_pin_is_of_the_certificate_or_of_its_key() -> None:
    leaf = authority().issue(HOST)
    now = datetime.now(UTC)
    certificate = hashlib.sha256(leaf.der).hexdigest()
    key = hashlib.sha256(key_of(leaf.certificate)).hexdigest()

    assert objection(Pinned((certificate,)), leaf.chain, now) is None
    assert objection(Pinned(("0" * 64, key)), leaf.chain, now) is None
    wrong = objection(Pinned(("0" * 64,)), leaf.chain, now)
    assert wrong is not None
    assert certificate in wrong.why
    assert key in wrong.why
    assert objection(Pinned((certificate,)), [], now) is not None
    assert objection(Pinned((certificate,)), [b"rubbish"], now) is not None


def test_the_name_asked_for_is_that_of_the_records() -> None:
    assert server_name(NAMED, HOST) == HOST
    assert server_name(Recorded((RECORD,), ("end.b.test", DOMAIN)), HOST) == "end.b.test"


@pytest.mark.parametrize("dane", [None, USELESS, Broken("no answer")])
@pytest.mark.parametrize("scope", ["own", "others"])
def test_with_dane_only_a_server_without_usable_records_is_not_used(scope: str, dane: Dane) -> None:
    policy = own("dane-only")
    evidence = (
        Evidence(domain=DOMAIN, own=policy)
        if scope == "own"
        else Evidence(domain=DOMAIN, others=policy)
    )

    demand = decide(HOST, evidence, dane)

    assert demand.when == "must"
    assert demand.objection is not None
    is_broken = isinstance(dane, Broken)
    expected = Failure.DNSSEC_INVALID if is_broken else Failure.DANE_REQUIRED
    assert demand.objection.failure is expected


def test_dane_only_with_servers_that_were_set_leaves_out_all_others() -> None:
    demand = decide(HOST, Evidence(own=own("dane-only", names=("mx.other.test",))), DANE)

    assert demand.objection is not None
    assert demand.objection.failure is Failure.VALIDATION
