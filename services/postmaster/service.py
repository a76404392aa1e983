"""The postmaster: its parts, in the order they come up."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

from posthouse.bus.indexing import work_off
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import DEAD_QUEUES, INDEX
from posthouse.bus.undertaking import undertake
from posthouse.extraction.workshop import open_workshop
from posthouse.mail.return_path import ReturnPaths
from posthouse.resolver import Resolver
from posthouse.runtime.dkim_keys import SigningKeys
from posthouse.runtime.foundation import START, open_foundation
from posthouse.runtime.report_settings import RETURN_PATHS
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.tls import client_context
from posthouse.runtime.web import Web
from posthouse.storage.indexing import keep_marks
from posthouse.storage.keyring import shared_secret
from posthouse.telemetry.probes import Probes
from postmaster.api import listener
from postmaster.api.application import build
from postmaster.api.hashing import Hasher
from postmaster.api.parts import Parts
from postmaster.duties import names
from postmaster.duties.collector import tidy_objects, tidy_rows
from postmaster.duties.daily_reports import Desk, Kind, report_on_days
from postmaster.duties.dkim_keys import Locksmith
from postmaster.duties.dmarc_reports import OnDmarc
from postmaster.duties.lists import tidy_lists
from postmaster.duties.partitions import keep_partitions
from postmaster.duties.reader import Reader
from postmaster.duties.rounds import alone, rounds
from postmaster.duties.schema import bring_schema
from postmaster.duties.sums import sum_quotas
from postmaster.duties.sweeper import sweep
from postmaster.duties.tls_reports import OnTls
from postmaster.duties.training import training
from postmaster.duties.undertaker import Undertaker
from postmaster.indexing.indexer import Indexer
from postmaster.indexing.offering import Offers, tell_backlog
from postmaster.reports.letter import Letterhead
from postmaster.settings import PostmasterSettings

NAME = "postmaster"
KEEP_PARTITIONS_EVERY = timedelta(hours=1)
READ_EVERY = timedelta(seconds=2)
TIDY_EVERY = timedelta(hours=1)
SUM_QUOTAS_EVERY = timedelta(minutes=1)
REPORT_EVERY = timedelta(minutes=10)
LOOK_AT_KEYS_EVERY = timedelta(minutes=5)
OFFER_EVERY = timedelta(seconds=1)
TELL_EVERY = timedelta(seconds=15)  # counting what waits
MARK_EVERY = timedelta(minutes=1)
SEARCHED_WITHIN = timedelta(days=90)  # who searches less often is searched without an index
LONGEST_WALK = timedelta(days=1)


async def serve(settings: PostmasterSettings, lifecycle: Lifecycle) -> None:
    """Run API and duties until `lifecycle` says stop."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ground = await enter(open_foundation(NAME, settings, lifecycle, bring_schema))
        parts = Parts(
            settings=settings,
            pool=ground.pool,
            blobs=ground.blobs,
            broker=ground.broker,
            publisher=Publisher(ground.broker),
            hasher=await enter(Hasher(settings.wanted)),
            reporter=settings.reporter(ground.blobs, ground.pool),
        )
        if settings.postmaster_port:
            listening = listener.bind(settings.postmaster_host, settings.postmaster_port)
            await enter(listener.serve(build(parts), listening, lifecycle.grace))
        reader = Reader(
            pool=ground.pool,
            blobs=ground.blobs,
            paths=ReturnPaths(await shared_secret(ground.pool, RETURN_PATHS)),
            terms=settings.suppression,
            names=Resolver(settings.nameservers),
        )
        keys = SigningKeys(ground.pool, settings)
        web = await enter(Web(Resolver(settings.nameservers), client_context()))
        indexing = await _indexing(parts, lifecycle.probes, stack)
        lifecycle.probes.forget(START)
        await lifecycle.until_stopped(
            *_reporting(parts, keys, web, lifecycle.probes),
            *indexing,
            *_duties(parts, lifecycle.probes),
            *_reading(reader, settings, lifecycle.probes),
            *training(ground.pool, ground.blobs, lifecycle.probes),
        )


def _reading(
    reader: Reader, settings: PostmasterSettings, probes: Probes
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what is done about mail that came back."""
    keep = timedelta(days=settings.keep_days)
    yield rounds(
        alone(reader.pool, names.READER, reader.read_all),
        READ_EVERY,
        probes.progress(names.READER),
    )
    yield rounds(
        alone(reader.pool, names.SUPPRESSIONS, partial(reader.tidy, keep)),
        TIDY_EVERY,
        probes.progress(names.SUPPRESSIONS),
    )


def _duties(parts: Parts, probes: Probes) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what is done without being asked."""
    pool, settings = parts.pool, parts.settings
    older_than = timedelta(seconds=settings.sweep_after_seconds)
    yield rounds(
        alone(pool, names.SWEEPER, partial(sweep, pool, parts.publisher, older_than)),
        timedelta(seconds=settings.sweep_seconds),
        probes.progress(names.SWEEPER),
    )
    yield rounds(
        alone(pool, names.PARTITIONS, partial(keep_partitions, pool, settings.keep_days)),
        KEEP_PARTITIONS_EVERY,
        probes.progress(names.PARTITIONS),
    )
    yield rounds(
        alone(pool, names.LISTS, partial(tidy_lists, pool)),
        TIDY_EVERY,
        probes.progress(names.LISTS),
    )
    yield rounds(
        alone(pool, names.QUOTAS, partial(sum_quotas, pool)),
        SUM_QUOTAS_EVERY,
        probes.progress(names.QUOTAS),
    )
    locksmith = Locksmith(
        pool=pool,
        settings=settings,
        nameservers=settings.nameservers,
        published=timedelta(days=settings.dkim_publish_days),
        lasts=timedelta(days=settings.dkim_rotate_days),
    )
    yield rounds(
        alone(pool, names.DKIM_KEYS, locksmith.look),
        LOOK_AT_KEYS_EVERY,
        probes.progress(names.DKIM_KEYS, patience=LONGEST_WALK),
    )
    yield from _collecting(parts, probes)
    undertaker = Undertaker(pool)
    for queue in DEAD_QUEUES:
        yield undertake(parts.broker, queue, undertaker.file, beat=probes.progress(queue))


def _reporting(
    parts: Parts, keys: SigningKeys, web: Web, probes: Probes
) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what tells others of yesterday, and forgets what is old."""
    settings, pool = parts.settings, parts.pool
    resolver = Resolver(settings.nameservers)
    kinds: tuple[tuple[str, Kind, str], ...] = (
        (names.TLS_REPORTS, OnTls(pool, resolver), settings.tls_report_address),
        (names.DMARC_REPORTS, OnDmarc(pool, resolver), settings.dmarc_report_address),
    )
    for name, kind, address in kinds:
        desk = Desk(
            pool=pool,
            blobs=parts.blobs,
            web=web,
            kind=kind,
            head=Letterhead(
                host=settings.hostname,
                organization=settings.tls_report_organization or settings.hostname,
                address=address,
            ),
            sign=keys.signed,
        )
        work = partial(report_on_days, desk) if address else kind.forget
        yield rounds(
            alone(pool, name, work), REPORT_EVERY, probes.progress(name, patience=LONGEST_WALK)
        )


async def _indexing(
    parts: Parts, probes: Probes, stack: AsyncExitStack
) -> list[Coroutine[Any, Any, None]]:
    """Return what makes messages searchable."""
    settings, pool = parts.settings, parts.pool
    if not settings.index_workers:
        return []
    workshop = await stack.enter_async_context(
        open_workshop(
            settings.index_workers,
            patience=timedelta(seconds=settings.index_seconds),
            memory=settings.index_memory_octets,
        )
    )
    indexer = Indexer(
        pool=pool,
        blobs=parts.blobs,
        workshop=workshop,
        with_documents=settings.index_documents,
    )
    within = SEARCHED_WITHIN if settings.index_accounts == "searching" else None
    marks = alone(pool, names.INDEX_MARKS, partial(keep_marks, pool, within))
    offers = alone(pool, names.INDEX_OFFERS, Offers(pool, parts.publisher).look)
    lanes = (f"{INDEX}.{lane}" if lane else INDEX for lane in range(settings.index_workers))
    return [
        rounds(marks, MARK_EVERY, probes.progress(names.INDEX_MARKS)),
        rounds(offers, OFFER_EVERY, probes.progress(names.INDEX_OFFERS)),
        rounds(partial(tell_backlog, pool), TELL_EVERY, probes.progress(names.INDEX_BACKLOG)),
        *(
            work_off(
                parts.broker,
                parts.publisher,
                indexer.index,
                beat=probes.progress(lane, patience=LONGEST_WALK),
            )
            for lane in lanes
        ),
    ]


def _collecting(parts: Parts, probes: Probes) -> Iterator[Coroutine[Any, Any, None]]:
    """Yield what removes what nobody refers to any more."""
    pool, settings = parts.pool, parts.settings
    quarantine = timedelta(days=settings.collect_after_days)
    pause = timedelta(hours=settings.collect_hours)
    rows = partial(
        tidy_rows,
        pool,
        quarantine=quarantine,
        keep_changes=settings.keep_changes,
        keep_letters=timedelta(days=settings.keep_days),
    )
    objects = partial(tidy_objects, pool, parts.blobs, quarantine)
    # A walk takes as long as the store is large; that it moves on is seen at its counters.
    for name, work in ((names.ROWS, rows), (names.OBJECTS, objects)):
        beat = probes.progress(name, patience=LONGEST_WALK)
        yield rounds(alone(pool, name, work), pause, beat)
