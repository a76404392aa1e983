"""Whose mail it is, as far as that could be proved. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.authenticity.arc import Arc
from posthouse.authenticity.dkim import Dkim
from posthouse.authenticity.dmarc import Dmarc
from posthouse.authenticity.iprev import IpRev
from posthouse.authenticity.results import Result
from posthouse.authenticity.spf import Spf


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """What the checks of authenticity found; None of what was not checked.

    Attributes:
        spf: Of the reverse path or, where that is null, of the greeting.
        spf_hello: Of the greeting.
        signatures: What became of each DKIM signature.
        dmarc: What the author's domain makes of these.
        arc: What servers on the way found, and whether that is believed.
        vouched: The trusted sealer who says that DMARC passed before it reached us, where it fails
            here; what the author's domain asks for is not done then. Empty: nobody.
        awaited: The trusted sealer who might say so, were DNS not silent on its key now.
        reverse: The client's name.
        auth: The account that authenticated; empty for a stranger.
    """

    spf: Spf | None = None
    spf_hello: Spf | None = None
    signatures: tuple[Dkim, ...] = ()
    dmarc: Dmarc | None = None
    arc: Arc | None = None
    vouched: str = ""
    awaited: str = ""
    reverse: IpRev | None = None
    auth: str = ""

    @property
    def domains(self) -> frozenset[str]:
        """The domains that are proved: by SPF, and by signatures."""
        proved = {each.domain for each in self.signatures if each.result == "pass"}
        if self.spf is not None and self.spf.result == "pass":
            proved.add(self.spf.domain.lower())
        return frozenset(proved)

    def results(self, sender: str, hello: str, client: str) -> Iterator[Result]:
        """Yield what stands in Authentication-Results (RFC 8601 §2.7)."""
        if self.auth:
            yield Result(method="auth", result="pass", properties=(("smtp.auth", self.auth),))
        if self.reverse is not None:
            yield Result(
                method="iprev",
                result=self.reverse.result,
                properties=(("policy.iprev", client),),
                reason=self.reverse.why or self.reverse.name,
            )
        if self.spf_hello is not None:
            yield _spf(self.spf_hello, "smtp.helo", hello)
        if self.spf is not None and sender:
            yield _spf(self.spf, "smtp.mailfrom", sender)
        yield from map(_dkim, self.signatures)
        if self.arc is not None and self.arc.result != "none":
            yield _arc(self.arc, client)
        if self.dmarc is not None:
            yield _dmarc(self.dmarc, self.vouched)


UNKNOWN = Authenticated()


def _spf(found: Spf, name: str, value: str) -> Result:
    reason = found.why or found.mechanism
    return Result(method="spf", result=found.result, properties=((name, value),), reason=reason)


def _arc(found: Arc, client: str) -> Result:
    """Return it with what the next server may want to know (RFC 8617 §6)."""
    oldest = (("header.oldest-pass", str(found.oldest_pass)),) if found.result == "pass" else ()
    return Result(
        method="arc",
        result=found.result,
        properties=(*oldest, ("smtp.remote-ip", client)),
        reason=found.why,
    )


def _dkim(found: Dkim) -> Result:
    return Result(
        method="dkim",
        result=found.result,
        properties=(
            ("header.d", found.domain),
            ("header.i", found.identity),
            ("header.a", found.algorithm),
            ("header.s", found.selector),
            ("header.b", found.b),
        ),
        reason=found.why,
    )


def _dmarc(found: Dmarc, vouched: str) -> Result:
    disposition = "none" if vouched else found.disposition
    policy = f"p={found.policy} dis={disposition}" if found.published is not None else ""
    policy += f" local_policy.arc={vouched}" if vouched else ""
    return Result(
        method="dmarc",
        result=found.result,
        properties=(("header.from", found.domain),),
        reason=found.why or policy,
    )
