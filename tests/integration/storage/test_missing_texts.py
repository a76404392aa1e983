"""What is not searchable yet is found quickly, whatever the planner believes of new tables."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.storage import searching
from posthouse.storage.pool import Pool
from posthouse.storage.searching import Among, Missing
from support.filings import add_accounts

pytestmark = pytest.mark.integration

MANY = 15_000

_CONTENTS = """
    insert into contents (account_id, object_id, size, envelope, bodystructure, header, parts)
    select $1, gen_random_uuid(), 1, '', '', '', '' from generate_series(1, $2)
"""
# Of every three contents one has no text, one no body's.
_TEXTS = """
    insert into search (account_id, content_id, from_f, to_f, cc_f, subject_f, header_f, body_f)
    select account_id, content_id, '', '', '', '', '', case content_id % 3 when 1 then 'text' end
      from contents where account_id = $1 and content_id % 3 > 0
"""


async def test_what_lacks_texts_is_found_in_parts_without_a_look_at_all_for_each(
    pool: Pool,
) -> None:
    account = (await add_accounts(pool, "anna"))["anna"]
    await pool.execute(_CONTENTS, account, MANY)
    await pool.execute(_TEXTS, account)
    rows = await pool.fetch("select content_id from contents where account_id = $1", account)
    contents = sorted(row["content_id"] for row in rows)
    wanted = [Missing(one, one % 3 == 0) for one in contents if one % 3 != 1]

    found: list[Missing] = []
    async with asyncio.timeout(3):  # a probe of all texts for each of the contents took twenty
        while len(part := await searching.missing(
            pool, account, Among.these(contents), found[-1].content if found else 0, with_bodies=True
        )) == searching.MISSING_AT_ONCE:  # fmt: skip
            found += part

    assert found + part == wanted
    headers = await searching.missing(pool, account, Among.these(contents), 0, with_bodies=False)
    assert headers == [one for one in wanted if one.lacks_header][: searching.MISSING_AT_ONCE]
