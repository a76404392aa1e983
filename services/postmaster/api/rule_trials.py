"""Trials: rules over a given message, and what shadows would change on real traffic."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from posthouse.rules.compiled import Compiled, compile_rules
from posthouse.rules.letter import Letter
from posthouse.rules.rule import Rule
from posthouse.rules.running import conclude, run
from posthouse.storage import rules, shadows
from posthouse.storage.shadows import KEPT_DAYS, SpamLevels
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.bodies import MEBI, read_octets
from postmaster.api.fields import Body
from postmaster.api.parts import Means
from postmaster.api.problems import invalid, not_found

MAX_MESSAGE_OCTETS = 4 * MEBI
LEVELS = "levels"
Score = Annotated[float, Field(ge=-1000, le=1_000_000)]

router = APIRouter(tags=["rules"])


class LevelsBody(Body):
    """From which scores on mail is marked, goes to Junk, is refused; live, or in the shadow."""

    state: Literal["live", "shadow"] = "shadow"
    tag: Score
    quarantine: Score
    reject: Score


@router.post("/policy/rules/test")
async def try_rules(
    request: Request,
    means: Means,
    of: Annotated[str | None, Query(alias="set")] = None,
    sender: str = "",
    found: str = "",
) -> dict[str, Any]:
    """Run the rules of one set, or those that are in force, over the message of the body.

    What is only tried out is shown and does not count, unless its own set is named.

    ``found`` names findings of other checks, with commas, that metas are to see.
    """
    octets = await read_octets(request, MAX_MESSAGE_OCTETS)
    stored = await (rules.of_set(means.pool, of) if of else rules.active(means.pool))
    if of and not stored:
        raise not_found("set of rules", of)
    letter = Letter(octets=octets, sender=sender)
    others = [name for name in found.split(",") if name]
    shadows = frozenset() if of else frozenset(each.rule.name for each in stored if each.is_shadow)
    return await asyncio.to_thread(_run, [each.rule for each in stored], letter, others, shadows)


def _run(
    of: list[Rule], letter: Letter, others: list[str], shadows: frozenset[str]
) -> dict[str, Any]:
    """Return what rules find, and what they come to; of what is in the shadow only the first."""
    compiled: Compiled = compile_rules(of)
    began = time.thread_time()
    ran = run(compiled, letter)
    points = list(conclude(compiled, ran, others, shadows))
    return {
        "seconds": round(time.thread_time() - began, 6),
        "rules": len(compiled.rules),
        "score": round(sum(p.score for p in points if p.hit.rule.name not in shadows), 3),
        "is_cut": bool(ran.left),
        "slow": [{"rule": name, "seconds": seconds} for name, seconds in ran.slow],
        "items": [
            {
                "rule": each.hit.rule.name,
                "is_trial": each.hit.rule.name in shadows,
                "score": each.score,
                "seen": each.hit.seen,
                "about": each.hit.rule.about,
            }
            for each in points
        ],
        "faults": [{"rule": name, "why": one.why} for name, one in compiled.faults.items()],
    }


@router.get("/policy/shadow")
async def report(
    means: Means,
    days: Annotated[int, Query(ge=1, le=KEPT_DAYS)] = 7,
    name: str | None = None,
) -> dict[str, Any]:
    """Return how verdicts would have differed, by day, the newest first; and what is tried out.

    ``trials`` says of each how many messages were judged beside it, and of how many the verdict would
    differ. ``items`` are the differences, a thousand at most, with ids of messages (``/trace/{id}``).
    """
    tried = await _tried(means)
    counted = {each.name: each for each in await shadows.totals(means.pool, days, name)}
    names = [*counted, *(each for each in tried if each not in counted and name in {None, each})]
    found = await shadows.report(means.pool, days, name)
    return {
        "items": [asdict(each) for each in found],
        "trials": [
            {
                "name": each,
                "tried": tried.get(each, ""),
                "judged": counted[each].judged if each in counted else 0,
                "differ": counted[each].differ if each in counted else 0,
            }
            for each in names
        ],
        "next": None,
    }


async def _tried(means: Means) -> dict[str, str]:
    """Return what is tried out now, and what of it."""
    found = {each.name: "set" for each in await rules.sets(means.pool) if each.state == "shadow"}
    for each in await rules.tried(means.pool):
        found[each.rule.name] = "rule" if each.own_state == "shadow" else "score"
    if "shadow" in await shadows.levels(means.pool):
        found[LEVELS] = "levels"
    return found


@router.put("/policy/shadow/levels", status_code=HTTPStatus.NO_CONTENT)
async def set_levels(body: LevelsBody, means: Means, actor: Actor) -> None:
    """Set levels instead of the settings', live or to be tried out."""
    if not body.tag <= body.quarantine <= body.reject:
        raise invalid("The levels must not fall from tag to quarantine to reject.")
    its = SpamLevels(tag=body.tag, quarantine=body.quarantine, reject=body.reject)
    told = f"{body.tag} {body.quarantine} {body.reject}"
    async with audited(means.pool, actor, "levels set", body.state, told) as tx:
        await shadows.set_levels(tx, body.state, its, actor)


@router.delete("/policy/shadow/levels/{state}", status_code=HTTPStatus.NO_CONTENT)
async def remove_levels(state: Literal["live", "shadow"], means: Means, actor: Actor) -> None:
    """Let the settings say the levels again, or try none out."""
    async with audited(means.pool, actor, "levels remove", state) as tx:
        await shadows.set_levels(tx, state, None, actor)


@router.post("/policy/shadow/{name}/promote", status_code=HTTPStatus.NO_CONTENT)
async def promote(name: str, means: Means, actor: Actor) -> None:
    """Make a set, a rule or the ``levels`` in the shadow live; 404 if there is no such shadow."""
    async with audited(means.pool, actor, "shadow promote", name) as tx:
        if name == LEVELS:
            is_done = await shadows.promote_levels(tx, actor)
        else:
            is_done = await rules.promote(tx, name, actor)
        if not is_done:
            raise not_found("shadow", name)
