"""Secrets that all pods share and nobody needs to know: random, made once, kept in PostgreSQL."""

from __future__ import annotations

import secrets

from posthouse.storage.pool import Pool

_OCTETS = 32
# Two pods that start together both insert; the first wins, and both read what it wrote.
_MAKE = "insert into secrets (name, secret) values ($1, $2) on conflict do nothing"
_READ = "select secret from secrets where name = $1"


async def shared_secret(pool: Pool, name: str) -> bytes:
    """Return the secret called ``name``, making it if nobody has yet; raise `Unavailable`."""
    await pool.execute(_MAKE, name, secrets.token_bytes(_OCTETS))
    [row] = await pool.fetch(_READ, name)
    return bytes(row["secret"])
