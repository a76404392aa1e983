"""What is demanded of servers for a mail whose sender waives TLS (RFC 8689 §3)."""

from __future__ import annotations

from delivery_remote.guard import Known
from delivery_remote.routes import Target, Tls
from delivery_remote.security.tls_policy import Evidence, Published
from posthouse.mail.tls_words import Tlsa, TlsPolicy

SERVER = Target(host="mx.b.test", address="192.0.2.1", port=25, domain="b.test")
DANE = Published("mx.b.test", (Tlsa(3, 1, 1, b"x" * 32),))


def known(policy: TlsPolicy | None = None) -> Known:
    return Known(SERVER, Evidence(domain="b.test", own=policy), DANE)


def test_what_the_domain_publishes_is_waived() -> None:
    assert known().demanding().tls is Tls.REQUIRED
    assert known().relaxed().tls is Tls.OPPORTUNISTIC


def test_dane_that_an_operator_demands_is_not() -> None:
    relaxed = known(TlsPolicy(domain="b.test", level="dane-only")).relaxed()

    assert relaxed.tls is Tls.REQUIRED
    assert relaxed.demand.objection is None
    assert relaxed.demand.name == "dane-only"
