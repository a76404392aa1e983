"""Sealing what leaves again (RFC 8617 §5.1): a forward tells the next server what we found out."""

from __future__ import annotations

from datetime import UTC, datetime

from policy_engine.content.case import Case
from policy_engine.content.key_watch import KeyWatch
from policy_engine.content.leaving import Resolve, leaves_house
from policy_engine.content.signing import digest_of
from posthouse.authenticity.arc import read_chain, seal
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.results import results_value
from posthouse.runtime.dkim_keys import SigningKeys
from posthouse.telemetry.metrics import counter

_SEALED = counter("posthouse_policy_arc_sealed_total", "Mail that was sealed, by its cv=.", "cv")


class ArcSealing:
    """Puts an ARC set on strangers' mail that has a recipient outside."""

    of_ours = False

    def __init__(
        self, keys: SigningKeys, watch: KeyWatch, resolve: Resolve, domain: str, hostname: str
    ) -> None:
        """Seal with the RSA key of ``domain``; ``resolve`` asks the directory."""
        self._keys = keys
        self._watch = watch
        self._resolve = resolve
        self._domain = domain
        self._hostname = hostname

    @property
    def of_strangers(self) -> bool:
        """True if there can be a key at all."""
        return self._watch.does_anybody_sign

    async def __call__(self, case: Case, header: bytes) -> bytes:
        """Return the set for ``header``; empty for none. Raises `Unavailable`."""
        arc = case.senders.arc
        if arc is None or not await leaves_house(case.recipients, self._resolve):
            return b""
        signers = await self._keys.signers([self._domain])
        signer = next((each for each in signers if each.algorithm == "rsa-sha256"), None)
        if signer is None:
            _SEALED.labels("no key").inc()
            return b""
        found = case.senders.results(case.sender, case.hello, case.client)
        sealed = seal(
            Header(header),
            await digest_of(case),
            signer,
            (read_chain(case.header), arc),
            results_value(self._hostname, list(found)),
            datetime.now(UTC),
        )
        _SEALED.labels(arc.result if sealed else "doubtful" if arc.is_doubtful else "over").inc()
        return sealed
