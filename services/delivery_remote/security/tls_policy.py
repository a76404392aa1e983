"""Which policy counts for a server, and what it demands. Pure.

    what the operator set for the domain, or the next hop
        else DANE       TLSA records that DNSSEC proves        RFC 7672
        else MTA-STS    enforced, or tested                    RFC 8461
        else what the operator set for all others
        else TLS with whom it works                            RFC 7435

DANE goes before MTA-STS (RFC 8461 §2); records that SMTP cannot use leave the place to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from delivery_remote.security.dane import usable
from delivery_remote.security.proofs import (
    ANYBODY,
    NAMED,
    Anybody,
    Demand,
    Pinned,
    Policy,
    Proof,
    Recorded,
    When,
)
from delivery_remote.security.sts import StsPolicy, is_listed
from posthouse.mail.patterns import EVERYTHING
from posthouse.mail.tls_words import Failure, Fault, Level, Tlsa, TlsPolicy


@dataclass(frozen=True, slots=True)
class Published:
    """TLSA records, proved by DNSSEC.

    Attributes:
        base: The name they stand at, without port and protocol.
        records: All of them, usable or not; never empty.
    """

    base: str
    records: tuple[Tlsa, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """Name servers could not tell whether there are any: somebody may have kept them from it."""

    why: str


Dane: TypeAlias = Published | Broken | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a destination.

    Attributes:
        domain: Whose mail, for reports; empty where an operator chose the servers.
        own: What an operator set for it.
        others: What an operator set for all that have nothing of their own.
        sts: Its MTA-STS policy, enforced or tested.
    """

    domain: str = ""
    own: TlsPolicy | None = None
    others: TlsPolicy | None = None
    sts: StsPolicy | None = None

    @property
    def proves_servers(self) -> bool:
        """True if no forged MX record can name other servers than the domain's (RFC 8689 §4.2.1)."""
        return self.sts is not None or bool(self.own and self.own.names)

    @property
    def wants_dane(self) -> bool:
        """True if an operator wants servers to be proved by DANE."""
        counts = self.own or self.others
        return counts is not None and counts.level == "dane-only"


def decide(host: str, evidence: Evidence, dane: Dane = None) -> Demand:
    """Return what sessions with ``host`` must be like."""
    if evidence.own is not None:
        return _set_demand(host, evidence.own, evidence, dane)
    others = evidence.others
    demand = _by_dane(evidence, dane)
    if demand is None and evidence.sts is not None:
        demand = _by_sts(host, evidence.sts, evidence.domain)
    if demand is None and isinstance(dane, Published) and not evidence.wants_dane:
        # RFC 7672 §2.2: unusable, so anybody's TLS
        demand = Demand(
            when="must",
            name="DANE, unusable records",
            proof=ANYBODY,
            policy=_tlsa(evidence, dane),
        )
    if demand is None:
        return _set_demand(host, others or _DEFAULT, evidence, dane)
    return replace(demand, certificate=bool(others and others.certificate))


_DEFAULT = TlsPolicy(domain=EVERYTHING, level="may")
_WHEN: dict[Level, When] = {
    "none": "never",
    "may": "may",
    "encrypt": "must",
    "verify": "must",
    "fingerprint": "must",
    "dane-only": "must",
}


# RFC 8460 §4.3.2
_NO_RECORDS = Fault(Failure.DANE_REQUIRED, "no usable TLSA records that DNSSEC proves")


def _set_demand(host: str, own: TlsPolicy, evidence: Evidence, dane: Dane) -> Demand:
    """Return what an operator demands; by DANE, if that is what it is."""
    demand = _as_set(host, own, evidence.domain)
    proved = _by_dane(evidence, dane) if own.level == "dane-only" else None
    if proved is None or demand.objection not in {None, _NO_RECORDS}:
        return demand
    return replace(proved, name="dane-only", certificate=own.certificate)


def _as_set(host: str, own: TlsPolicy, domain: str) -> Demand:
    proofs: dict[Level, Proof] = {"encrypt": ANYBODY, "fingerprint": Pinned(own.pins)}
    fault = _NO_RECORDS if own.level == "dane-only" else None
    if own.names and not is_listed(host, own.names):
        fault = Fault(Failure.VALIDATION, f"{host} is not among the servers that were set")
    return Demand(
        when=_WHEN[own.level],
        proof=proofs.get(own.level, NAMED),
        certificate=own.certificate,
        objection=fault,
        name=own.level,
        policy=Policy(domain=domain),
    )


def _by_dane(evidence: Evidence, dane: Dane) -> Demand | None:
    if isinstance(dane, Broken):  # RFC 7672 §2.1.2: the server is not to be used now
        fault = Fault(Failure.DNSSEC_INVALID, dane.why)
        policy = Policy(kind="tlsa", domain=evidence.domain)
        return Demand(when="must", name="DANE", objection=fault, policy=policy)
    records = usable(dane.records) if dane is not None else ()
    if dane is None or not records:
        return None
    names = tuple(dict.fromkeys(filter(None, (dane.base, evidence.domain))))
    proof = Recorded(records, names)
    return Demand(when="must", name="DANE", proof=proof, policy=_tlsa(evidence, dane))


def _tlsa(evidence: Evidence, dane: Published) -> Policy:
    lines = tuple(sorted(map(str, dane.records)))
    return Policy(kind="tlsa", domain=evidence.domain, lines=lines)


def _by_sts(host: str, sts: StsPolicy, domain: str) -> Demand | None:
    if sts.mode == "none":
        return None
    fault = None
    if not sts.lists(host):
        fault = Fault(Failure.VALIDATION, f"{host} is not an mx of the domain's MTA-STS policy")
    return Demand(
        when="must",
        name=f"MTA-STS {sts.mode}",
        objection=fault,
        is_tested=sts.mode == "testing",
        policy=Policy(kind="sts", domain=domain, lines=sts.lines),
    )


def strictly(demand: Demand) -> Demand:
    """Return what a mail demands that must not go without proved TLS (RFC 8689 §4.2.1)."""
    proof = NAMED if isinstance(demand.proof, Anybody) else demand.proof
    name = f"REQUIRETLS, {demand.name}"
    return replace(demand, when="must", proof=proof, is_tested=False, name=name)


def with_password(demand: Demand) -> Demand:
    """Return what a session demands in which a password is said."""
    proof = NAMED if isinstance(demand.proof, Anybody) else demand.proof
    return replace(demand, when="must", proof=proof, is_tested=False)
