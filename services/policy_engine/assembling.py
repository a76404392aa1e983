"""Assembling: which checks judge a message, and who signs it. New ones are listed here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from policy_engine.admission import is_ours
from policy_engine.bayes.assembling import bayes_checks, bayes_witnesses
from policy_engine.content.arc_sealing import ArcSealing
from policy_engine.content.authenticating import Authenticating
from policy_engine.content.bench import Bench
from policy_engine.content.dmarc_tally import DmarcTally
from policy_engine.content.key_watch import KeyWatch
from policy_engine.content.pipeline import Check, Pipeline
from policy_engine.content.sealing import Sealer
from policy_engine.content.signing import Signing
from policy_engine.doorway import Doorway
from policy_engine.enquiries import Memory, Networks
from policy_engine.lists.holding import HoldLists
from policy_engine.rules.check import RulesCheck
from policy_engine.rules.shadowing import Shadowing
from policy_engine.rules.table import Table
from policy_engine.scanners.assembling import scanners
from policy_engine.scanners.scanner import Scanner
from policy_engine.settings import PolicySettings
from posthouse.blobs import Blobs
from posthouse.resolver import Resolver
from posthouse.runtime.dkim_keys import SigningKeys
from posthouse.runtime.service import Lifecycle
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from posthouse.storage.sealers import believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What checks may work with.

    Attributes:
        pool: PostgreSQL.
        blobs: Where all of a large message can be read (`Case.blob`).
        names: DNS; its answers are kept for their time.
        networks: On which terms clients relay.
        doorway: Lists and greylisting.
        lifecycle: Its probes and its background tasks.
        stack: Closes, at the end, what was opened (connections).
    """

    pool: Pool
    blobs: Blobs
    names: Resolver
    networks: Networks
    doorway: Doorway
    lifecycle: Lifecycle
    stack: AsyncExitStack


async def assemble(settings: PolicySettings, means: Means) -> Bench:
    """Put together who judges whole messages."""
    patience = settings.patience
    authenticate = Authenticating(
        means.names, settings.hostname, patience / 2, partial(believed, means.pool)
    )
    pipeline = Pipeline(
        authenticate if settings.authentication else None,
        await checks(settings, means),
        settings.levels,
        patience,
        await _scoring(means),
        settings.outbound_levels,
    )

    async def ours(client: str, sender: str) -> bool:
        return is_ours(client, sender, await means.networks.all())

    bench = Bench(
        pipeline,
        await sealers(settings, means),
        ours,
        settings.marks,
        settings.judging_concurrency,
    )
    bench.holding = HoldLists(means.pool, settings.spam_hold_score)
    tasks = means.lifecycle.tasks
    bench.witnesses += [means.doorway.history, *bayes_witnesses(settings, means.pool, tasks)]
    if settings.dmarc_report_address:
        tally = await means.stack.enter_async_context(DmarcTally(means.pool))
        bench.witnesses.append(tally.hear)
    return bench


async def _scoring(means: Means) -> RulesCheck:
    """Return what scores by rules; all pods follow the table within seconds."""
    table = Table(means.pool)
    await table.refresh()
    shadowing = await means.stack.enter_async_context(Shadowing(table, means.pool))
    means.lifecycle.tasks.create_task(table.watch(), name="watch rules")
    return RulesCheck(table, shadowing)


async def checks(settings: PolicySettings, means: Means) -> list[Check]:
    """Return the checks, in the order in which `policy explain` tells of them."""
    bayes = bayes_checks(settings, means.pool, means.lifecycle.tasks)
    return [*means.doorway.checks, *bayes, *_watched_scanners(settings, means)]


def _watched_scanners(settings: PolicySettings, means: Means) -> list[Scanner]:
    found = scanners(settings, means.blobs)
    for scanner in found:
        means.lifecycle.probes.ready(scanner.name, scanner.trouble)
        means.lifecycle.tasks.create_task(scanner.watch(), name=f"watch {scanner.name}")
    return found


async def sealers(settings: PolicySettings, means: Means) -> list[Sealer]:
    """Return who signs, in their order: each covers what those before it have written."""
    keys = SigningKeys(means.pool, settings)
    watch = await means.stack.enter_async_context(KeyWatch(keys))
    found: list[Sealer] = [Signing(keys, watch)]
    if settings.arc_seal_domain:
        known = Memory(partial(directory.resolve, means.pool))
        domain, host = settings.arc_seal_domain, settings.hostname
        found.append(ArcSealing(keys, watch, known.resolve, domain, host))
    return found
