"""Rules that messages are scored by: read, kept, tried, made live; every change stands in the audit."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import Field

from posthouse.rules.compiled import compile_rules
from posthouse.rules.defaults import default_rules
from posthouse.rules.reading import MAX_FILE_OCTETS, MAX_RULES, Reading, read_rules
from posthouse.rules.rule import MAX_SCORE, Fault
from posthouse.storage import rules
from posthouse.storage.rules import RuleSet, RuleState, SetState, StoredRule
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, invalid

BETWEEN = "\t"  # the two halves of a page's key; stands in no name
MAX_FAULTS = 10_000  # of one file are told; more are counted

router = APIRouter(tags=["rules"])

SetName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class SetStateBody(Body):
    """What becomes of a set."""

    state: SetState


class RuleBody(Body):
    """What changes: a score (None: the set's own again), or a state."""

    score: Annotated[float | None, Field(ge=-MAX_SCORE, le=MAX_SCORE)] = None
    state: RuleState | None = None


@router.get("/policy/rule-sets")
async def list_sets(means: Means) -> dict[str, Any]:
    """Return all sets; they are few."""
    return {"items": [_set(each) for each in await rules.sets(means.pool)], "next": None}


@router.put("/policy/rule-sets/{name}")
async def import_set(
    name: SetName,
    request: Request,
    means: Means,
    actor: Actor,
    *,
    dry_run: bool = False,
    default: bool = False,
) -> dict[str, Any]:
    """Make a file in SpamAssassin's language, or our own rules, the set ``name``.

    Each line that is not taken is told, with the reason. A new set is a draft. With ``dry_run``
    nothing is kept.
    """
    text = default_rules() if default else await _text(request)
    read = await asyncio.to_thread(_read, text)
    if len(read.rules) > MAX_RULES:
        raise invalid(f"A set has at most {MAX_RULES} rules.")
    if not dry_run:
        if not read.rules:
            raise invalid("The file holds no rule that can be run.")
        async with audited(means.pool, actor, "rules import", name, f"{len(read.rules)}") as tx:
            await rules.put_set(tx, name, read.rules, actor)
    return {
        "rules": len(read.rules),
        "faults": len(read.faults),
        "items": [_fault(each) for each in read.faults[:MAX_FAULTS]],
    }


@router.put("/policy/rule-sets/{name}/state", status_code=HTTPStatus.NO_CONTENT)
async def set_state(name: SetName, body: SetStateBody, means: Means, actor: Actor) -> None:
    """Make a set live, a shadow, or a draft again; refused if a rule of it does not compile."""
    if body.state != "draft":
        stored = [each.rule for each in await rules.of_set(means.pool, name)]
        compiled = await asyncio.to_thread(compile_rules, stored)
        if compiled.faults:
            rule, fault = min(compiled.faults.items())
            raise Problem(HTTPStatus.CONFLICT, f"{rule} cannot be run: {fault.why}.")
    async with audited(means.pool, actor, f"rules {body.state}", name) as tx:
        await rules.set_state(tx, name, body.state, actor)


@router.delete("/policy/rule-sets/{name}", status_code=HTTPStatus.NO_CONTENT)
async def remove_set(name: SetName, means: Means, actor: Actor) -> None:
    """Forget a set with its rules."""
    async with audited(means.pool, actor, "rules remove", name) as tx:
        await rules.remove_set(tx, name)


@router.get("/policy/rules")
async def list_rules(
    means: Means,
    after: str = "",
    limit: Limit = 100,
    of: Annotated[str | None, Query(alias="set")] = None,
) -> dict[str, Any]:
    """Return rules by name, of one set or of all."""
    at = after.partition(BETWEEN)
    found = await rules.listed(means.pool, (at[0], at[2]), limit, of)
    return page(found, limit, shown, lambda one: f"{one.rule.name}{BETWEEN}{one.rule_set}")


@router.get("/policy/rules/{name}")
async def show_rule(name: str, means: Means) -> dict[str, Any]:
    """Return a rule as each set has it; 404 if none has."""
    return {"items": [shown(each) for each in await rules.named(means.pool, name)], "next": None}


@router.patch("/policy/rules/{name}", status_code=HTTPStatus.NO_CONTENT)
async def change_rule(name: str, body: RuleBody, means: Means, actor: Actor) -> None:
    """Give a rule a score or a state of its own, which outlive a new import; 404 if there is none."""
    if not body.model_fields_set:
        raise invalid("Say what is to change: score or state.")
    told = ", ".join(f"{key} {getattr(body, key)}" for key in sorted(body.model_fields_set))
    async with audited(means.pool, actor, "rule change", name, told) as tx:
        if "score" in body.model_fields_set:
            await rules.set_score(tx, name, body.score)
        if body.state is not None:
            await rules.set_rule_state(tx, name, body.state)


def shown(stored: StoredRule) -> dict[str, Any]:
    """Return a rule as answers show it."""
    rule = stored.rule
    state = stored.own_state if stored.own_state is not None else stored.set_state
    return {
        "name": rule.name,
        "set": stored.rule_set,
        "kind": rule.kind,
        "state": "draft" if stored.set_state == "draft" else state,
        "score": rule.score(has_bayes=True),
        "own_score": stored.own_score,
        "scores": list(rule.scores),
        "source": rule.source,
        "about": rule.about,
        "flags": list(rule.flags),
    }


def _set(one: RuleSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": one.state,
        "rules": one.rules,
        "changed_at": one.changed_at,
        "changed_by": one.changed_by,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"line": fault.line, "text": fault.text, "why": fault.why}


def _read(text: str) -> Reading:
    """Read a file; what goes in circles is no rule either."""
    read = read_rules(text)
    circles = compile_rules(read.rules).faults
    return Reading(
        tuple(rule for rule in read.rules if rule.name not in circles),
        (*read.faults, *circles.values()),
    )


async def _text(request: Request) -> str:
    octets = bytearray()
    async for piece in request.stream():
        octets += piece
        if len(octets) > MAX_FILE_OCTETS:
            raise invalid(f"A file of rules has at most {MAX_FILE_OCTETS} octets.")
    if b"\0" in octets:
        raise invalid("A file of rules holds no NUL.")
    # Older files are in Latin-1: their octets beyond ASCII stay readable, and match as UTF-8.
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
