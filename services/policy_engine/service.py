"""policy: its parts, and how they are put together."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import cast

from policy_engine.arrival import Step
from policy_engine.assembling import Means, assemble
from policy_engine.content.bench import Bench
from policy_engine.desk import Asked, Desk
from policy_engine.doorway import Doorway, open_doorway
from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.explaining import Explainer
from policy_engine.held_back import SuppressionList
from policy_engine.late.judging import LateJudging
from policy_engine.late.originals import Originals
from policy_engine.late.waiting import WaitingRoom
from policy_engine.leaving import leaving
from policy_engine.maps.book import Book
from policy_engine.maps.headers import HeaderMaps
from policy_engine.outbound.assembling import open_outbound, open_warden
from policy_engine.outbound.outgoing import Outgoing
from policy_engine.outbound.warden import Warden
from policy_engine.routing import Routing
from policy_engine.settings import PolicySettings
from policy_engine.srs import Rewriter
from posthouse.bus.ask import serve_questions
from posthouse.bus.consumer import consume
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import INBOUND
from posthouse.mail.return_path import ReturnPaths
from posthouse.resolver import Resolver
from posthouse.runtime.foundation import START, Foundation, open_foundation
from posthouse.runtime.outbox import Outbox
from posthouse.runtime.service import Lifecycle
from posthouse.runtime.spool import Spool
from posthouse.storage import directory
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.keyring import shared_secret
from posthouse.storage.maps import shape as read_shape
from posthouse.storage.pool import Pool

NAME = "policy"

# So long may a thread that reads a large message keep all others waiting; Python's own are 5 ms.
SWITCH_SECONDS = 0.001


async def serve(settings: PolicySettings, lifecycle: Lifecycle) -> None:
    """Answer questions and route mail until told to stop."""
    sys.setswitchinterval(SWITCH_SECONDS)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ground = await enter(open_foundation(NAME, settings, lifecycle))
        rewriter = Rewriter(await _signing_key(settings, ground.pool))
        returns = await settings.return_paths(ground.pool)
        networks = Networks(ground.pool, settings.networks)
        means = _means(settings, lifecycle, ground, networks, stack)
        bench = await assemble(settings, means)
        outbox = await enter(Outbox(ground.pool, Publisher(ground.broker)))
        outgoing = await enter(open_outbound(settings, ground.pool))
        bench.witnesses.append(outgoing.judged)
        warden = open_warden(settings, ground, outbox, outgoing, settings.told_of_alarms)
        routing = replace(
            _routing(settings, ground, rewriter, returns, outbox),
            late=_late(settings, ground, bench, await enter(Spool(ground.blobs.nearby)), outbox),
            outgoing=outgoing,
        )
        bench.rewriter = _header_maps(routing)
        enquiries = replace(
            _enquiries(settings, ground.pool, rewriter, returns, networks),
            steps=_steps(settings, ground.pool, means.doorway, outgoing),
            at_mail=outgoing.at_mail,
        )
        _set_to_work(lifecycle, warden, enquiries)
        if settings.policy_port:
            await enter(_answering(settings, enquiries, bench, routing))
        lifecycle.probes.forget(START)
        await lifecycle.until_stopped(
            consume(
                ground.broker,
                INBOUND,
                routing.route,
                beat=lifecycle.probes.progress(INBOUND),
                batch=settings.routing_batch,
                concurrency=settings.routing_concurrency,
            )
        )


def _set_to_work(lifecycle: Lifecycle, warden: Warden, enquiries: Enquiries) -> None:
    """Begin what is done beside questions and routing."""
    lifecycle.tasks.create_task(warden.work(), name="outbound")
    for memory in (enquiries.memory, enquiries.lent, enquiries.senders):
        lifecycle.tasks.create_task(memory.work(), name="renew what is remembered")


def _late(
    settings: PolicySettings,
    ground: Foundation,
    bench: Bench,
    spool: Spool,
    outbox: Outbox,
) -> LateJudging:
    """Put together what judges mail that was accepted while nobody did."""
    waiting = WaitingRoom(
        pool=ground.pool,
        reporter=settings.reporter(ground.blobs, ground.pool),
        outbox=outbox,
        timetable=settings.timetable,
        bounce_timetable=settings.bounce_timetable,
    )
    return LateJudging(
        bench=bench,
        pool=ground.pool,
        originals=Originals(ground.blobs, spool),
        waiting=waiting,
        hostname=settings.hostname,
    )


def _means(
    settings: PolicySettings,
    lifecycle: Lifecycle,
    ground: Foundation,
    networks: Networks,
    stack: AsyncExitStack,
) -> Means:
    """Put together what checks may work with."""
    names = Resolver(settings.nameservers, lifetime=settings.patience / 2)
    doorway = open_doorway(settings, ground.pool, names)
    lifecycle.tasks.create_task(doorway.work(), name="doorway")
    return Means(
        pool=ground.pool,
        blobs=ground.blobs,
        names=names,
        doorway=doorway,
        networks=networks,
        lifecycle=lifecycle,
        stack=stack,
    )


def _answering(
    settings: PolicySettings, enquiries: Enquiries, bench: Bench, routing: Routing
) -> AbstractAsyncContextManager[asyncio.Server]:
    """Return what answers questions while it is open."""
    explainer = Explainer(
        enquiries=enquiries, bench=bench, routing=routing, hostname=settings.hostname
    )
    desk = Desk(enquiries, bench, explainer)
    return serve_questions(
        settings.policy_host, settings.policy_port, cast("type[Asked]", Asked), desk.answer
    )


def _routing(
    settings: PolicySettings,
    ground: Foundation,
    rewriter: Rewriter,
    returns: ReturnPaths,
    outbox: Outbox,
) -> Routing:
    """Put together what routes."""
    pool, publisher = ground.pool, Publisher(ground.broker)
    return Routing(
        pool=pool,
        resolve=partial(directory.resolve, pool),
        lent=partial(directory.lent, pool),
        held_back=SuppressionList(pool).held_back,
        ownership=settings.sender_ownership,
        roads=publisher,
        outbox=outbox,
        reporter=settings.reporter(ground.blobs, pool),
        rewriter=rewriter,
        returns=returns,
        feedback=settings.feedback_address,
        postmaster=settings.postmaster_address,
        maps=Book(partial(read_shape, pool)).current,
    )


def _header_maps(routing: Routing) -> HeaderMaps:
    """Return what rewrites header fields by the same maps."""
    return HeaderMaps(routing.maps, Memory(routing.resolve).resolve, leaving(routing.plans))


async def _signing_key(settings: PolicySettings, pool: Pool) -> bytes:
    """Return what rewritten senders are signed with."""
    if settings.srs_secret is not None:
        return settings.srs_secret.get_secret_value().encode()
    return await shared_secret(pool, "srs")


def _enquiries(
    settings: PolicySettings,
    pool: Pool,
    rewriter: Rewriter,
    returns: ReturnPaths,
    networks: Networks,
) -> Enquiries:
    """Put together what answers questions."""
    return Enquiries(
        memory=Memory(partial(directory.resolve, pool)),
        lent=Memory(partial(directory.lent, pool)),
        networks=networks,
        rewriter=rewriter,
        returns=returns,
        senders=Memory(partial(resolve_senders, pool)),
        return_path=settings.return_path,
        hostname=settings.hostname,
        has_postmaster=bool(settings.postmaster_address),
        ownership=settings.sender_ownership,
        maps=Book(partial(read_shape, pool)).current,
    )


def _steps(
    settings: PolicySettings, pool: Pool, doorway: Doorway, outgoing: Outgoing
) -> tuple[Step, ...]:
    """Return who has a say about a recipient that is known, in this order."""
    held = (SuppressionList(pool),) if settings.suppress_at_rcpt else ()
    return (*held, *doorway.steps, outgoing)
