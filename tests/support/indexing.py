"""Indexing by hand: the turns that the queue would carry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from posthouse.blobs import Blobs
from posthouse.extraction.workshop import open_workshop
from posthouse.mail.index_work import IndexWork
from posthouse.storage import indexing
from posthouse.storage.pool import Pool
from postmaster.indexing.indexer import Indexer
from postmaster.indexing.offering import AGAIN_AFTER, works
from support.imap import WORKER_OCTETS

MANY = 1000


@asynccontextmanager
async def indexer(
    pool: Pool, blobs: Blobs, *, memory: int = WORKER_OCTETS
) -> AsyncIterator[Indexer]:
    """Have an indexer with one worker."""
    async with open_workshop(1, patience=timedelta(seconds=20), memory=memory) as workshop:
        yield Indexer(pool=pool, blobs=blobs, workshop=workshop, with_documents=True)


async def due(pool: Pool) -> list[IndexWork]:
    """Return the turns that are to be given now."""
    waiting = await indexing.waiting_accounts(pool, 0, MANY)
    accounts, turn = await indexing.give_turns(pool, waiting, MANY, AGAIN_AFTER, timedelta())
    return works(accounts, turn) if turn is not None else []


async def index_marked(pool: Pool, indexes: Indexer) -> None:
    """Index what waits of accounts that are indexed."""
    while left := await due(pool):
        while left:
            left += await indexes.index(left.pop(0))


async def index_all(pool: Pool, indexes: Indexer) -> None:
    """Index everything, whoever searches."""
    await indexing.keep_marks(pool, None)
    await index_marked(pool, indexes)
