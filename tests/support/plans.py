"""The plan that PostgreSQL keeps of a statement, as our sessions have it: made once, for any values."""

from __future__ import annotations

from posthouse.storage.pool import Pool


async def kept_plan(pool: Pool, sql: str, types: str, values: str) -> list[str]:
    """Return the lines of the plan of ``sql``, whose parameters have ``types``."""
    async with pool.session() as session:
        await session.execute(f"prepare kept ({types}) as {sql}")
        rows = await session.fetch(f"explain execute kept ({values})")
        await session.execute("deallocate kept")
    return [row[0] for row in rows]
