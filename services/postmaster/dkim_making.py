"""New DKIM keys: made off the loop, sealed, and pending until DNS shows them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from posthouse.authenticity.dkim.making import Algorithm, fault_of, make_pem, record_of
from posthouse.authenticity.names import Names
from posthouse.mail.answers import Found, Temporary
from posthouse.runtime.dkim_keys import Vault
from posthouse.storage.directory import AlreadyThere
from posthouse.storage.dkim_keys import DkimKey, add_dkim_key, dkim_key, dkim_keys
from posthouse.storage.pool import Pool, Tx, transaction

_ATTEMPTS = "bcdefghij"  # of one day


async def make_key(
    tx: Tx, vault: Vault, domain: str, algorithm: Algorithm, selector: str, *, rotates: bool
) -> DkimKey:
    """Make a pending key of ``domain``; `AlreadyThere` if ``selector`` is taken, `Unavailable`.

    An empty ``selector`` is one of today: ``20261122r``, ``20261122e``.
    """
    pem = await asyncio.to_thread(make_pem, algorithm)
    return await keep_key(
        tx, vault, domain, selector or await _free(tx, domain, algorithm), pem, rotates=rotates
    )


async def keep_key(
    tx: Tx, vault: Vault, domain: str, selector: str, pem: str, *, rotates: bool
) -> DkimKey:
    """Keep ``pem`` as a pending key; `AlreadyThere`, `Unavailable`, `ValueError` if it is no key."""
    sealed = vault.seal(domain, selector, pem)
    await add_dkim_key(tx, sealed, record_of(pem), rotates=rotates)
    return await dkim_key(tx, domain, selector)


async def _free(tx: Tx, domain: str, algorithm: Algorithm) -> str:
    taken = {key.selector for key in await dkim_keys(tx, domain=domain)}
    first = f"{datetime.now(UTC):%Y%m%d}{algorithm[0]}"
    names = (first, *(first + letter for letter in _ATTEMPTS))
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise AlreadyThere(f"{domain} got {len(names)} keys today; name the selector yourself")
    return free


async def rotate(queries: Pool | Tx, vault: Vault, domain: str) -> tuple[DkimKey, ...]:
    """Make a successor of each active key of ``domain`` that has none; `Unavailable`."""
    made = []
    async with transaction(queries) as tx:
        keys = await dkim_keys(tx, domain=domain)
        waiting = {key.algorithm for key in keys if key.state == "pending"}
        signing = {key.algorithm for key in keys if key.state == "active"}
        for algorithm in sorted(signing - waiting):
            made.append(await make_key(tx, vault, domain, algorithm, "", rotates=True))  # noqa: PERF401 - awaits
    return tuple(made)


async def published_fault(names: Names, key: DkimKey) -> str:
    """Return what is wrong with what DNS shows of ``key`` now; empty if nothing is."""
    answer = await names.txt(key.name)
    if isinstance(answer, Temporary):
        return f"DNS gave no answer: {answer.why}"
    if not isinstance(answer, Found):
        return f"nothing is published at {key.name}"
    return fault_of(key.record, answer.records)
