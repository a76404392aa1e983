"""The first words of messages, kept once they were made (RFC 8970)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posthouse.storage.pool import Queries

_READ = "select content_id, words from previews where account_id = $1 and content_id = any ($2)"


async def read_previews(queries: Queries, account: int, contents: Sequence[int]) -> dict[int, str]:
    """Return the previews of ``contents``; those that were never made are missing."""
    return dict(await queries.fetch(_READ, account, contents))


# Contents that were removed meanwhile get none: nobody would remove it.
_KEEP = """
    insert into previews (account_id, content_id, words)
    select c.account_id, c.content_id, made.words
      from unnest($2::bigint[], $3::text[]) as made (content_id, words)
      join contents c on c.account_id = $1 and c.content_id = made.content_id
    on conflict do nothing
"""


async def keep_previews(queries: Queries, account: int, made: Mapping[int, str]) -> None:
    """Keep previews by contents; what another has kept meanwhile stays."""
    await queries.execute(_KEEP, account, list(made), list(made.values()))
