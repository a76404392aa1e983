"""Reading a mailbox whole, page by page.

Most of the time is PostgreSQL's, and a connection has one process there. So what is behind the first
page of a large mailbox is read by two at once, span by span of UIDs, and put together in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from imap_gateway.aside import aside
from imap_gateway.view.rows import OCTETS_PER_MESSAGE, Rows, last_uid
from posthouse.storage.pool import Queries
from posthouse.storage.snapshots import CHUNK_MESSAGES, Page, load_page

READERS = 2

Span: TypeAlias = tuple[int, int]  # UIDs, from the first to before the last


def is_full(page: Page) -> bool:
    """True if there may be messages behind this page."""
    return len(page.messages) == CHUNK_MESSAGES * OCTETS_PER_MESSAGE


async def load(queries: Queries, first: Page) -> Rows:
    """Return the messages of a mailbox below its UIDNEXT, whose first page was read.

    Later pages may show later steps. Raises `NoSuchMailbox`, and `Unavailable`.
    """
    rows, pages, spans = Rows(), [first], _spans_behind(first)
    where = first.mailbox.account, first.mailbox.id
    for start in range(0, len(spans), READERS):
        some = spans[start : start + READERS]
        try:
            async with asyncio.TaskGroup() as tasks:
                readers = [tasks.create_task(_read(queries, where, span)) for span in some]
                await _add(rows, pages)
        except ExceptionGroup as failures:  # they fail by the same: one tells it
            raise failures.exceptions[0] from failures
        pages = [page for reader in readers for page in reader.result()]
    await _add(rows, pages)
    return rows


def _spans_behind(first: Page) -> list[Span]:
    """Return spans of about a page each for what is behind the first page."""
    if not is_full(first):
        return []
    low, end = last_uid(first.messages) + 1, first.mailbox.uidnext
    count = max(first.mailbox.exists - CHUNK_MESSAGES, 0) // CHUNK_MESSAGES + 1
    width = -(-(end - low) // count)
    return [(start, min(start + width, end)) for start in range(low, end, width)] if width else []


async def _read(queries: Queries, where: tuple[int, int], span: Span) -> list[Page]:
    """Return the pages of a span: more than one where UIDs lie closer than elsewhere."""
    pages = [await load_page(queries, *where, *span)]
    while is_full(pages[-1]):
        start = last_uid(pages[-1].messages) + 1
        pages.append(await load_page(queries, *where, start, span[1]))
    return pages


async def _add(rows: Rows, pages: Sequence[Page]) -> None:
    for page in pages:
        many = len(page.messages) // OCTETS_PER_MESSAGE
        await aside(many, rows.extend, page.messages, page.keywords)
