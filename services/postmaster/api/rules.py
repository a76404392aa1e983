"""Rules that messages are scored by: read, kept, tried, made live; every change stands in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import Field, ValidationError

from posthouse.rules.compiled import compile_rules, without
from posthouse.rules.costs import too_slow
from posthouse.rules.defaults import default_rules
from posthouse.rules.reading import (
    MAX_FILE_OCTETS,
    MAX_RULES,
    TURNED,
    File,
    Reading,
    decoded,
    read_files,
)
from posthouse.rules.rule import MAX_SCORE, Fault, Rule, fault_of
from posthouse.storage import rules
from posthouse.storage.rules import RuleSet
from posthouse.storage.rules_in_force import RuleState, SetState, StoredRule
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.bodies import read_octets
from postmaster.api.fields import Body, Limit, page
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, invalid

BETWEEN = "\t"  # the two halves of a page's key; stands in no name
MAX_FILES = 1_000
MAX_NAME_CHARACTERS = 1_000
MAX_FAULTS = 10_000  # of one file are told; more are counted

router = APIRouter(tags=["rules"])

Score: TypeAlias = Annotated[float, Field(ge=-MAX_SCORE, le=MAX_SCORE)]
SetName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class RuleFile(Body):
    """A file of rules, by the name under which others include it."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = ""
    text: str


class RuleFiles(Body):
    """Files of rules, in their order, and others that they include."""

    files: Annotated[list[RuleFile], Field(min_length=1, max_length=MAX_FILES)]
    included: list[RuleFile] = Field(default_factory=list, max_length=MAX_FILES)


class SetStateBody(Body):
    """What becomes of a set."""

    state: SetState


class RuleBody(Body):
    """What changes: a score (None: the set's own again), one that is tried (None: none), a state."""

    score: Score | None = None
    tried_score: Score | None = None
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
    """Make a file in SpamAssassin's language, several of them, or our own rules, the set ``name``.

    The body is a file's text, or as application/json ``{"files": [{"name", "text"}], "included": [...]}``:
    the files in the order in which they are read, and those that they include. Each line that is not
    taken is told, with the reason. A new set is a draft. With ``dry_run`` nothing is kept.
    """
    body = RuleFiles(files=[RuleFile(text=default_rules())]) if default else await _files(request)
    read = await asyncio.to_thread(_read, body)
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
        if faults := await asyncio.to_thread(_faults, stored):
            rule, fault = min(faults.items())
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
        raise invalid("Say what is to change: score, tried_score or state.")
    if body.tried_score is not None:
        found = await rules.named(means.pool, name)
        if not any(each.runs for each in found):
            raise Problem(HTTPStatus.CONFLICT, f"{name} does not run: nothing can be tried out.")
    told = ", ".join(f"{key} {getattr(body, key)}" for key in sorted(body.model_fields_set))
    async with audited(means.pool, actor, "rule change", name, told) as tx:
        if "score" in body.model_fields_set:
            await rules.set_score(tx, name, body.score)
        if "tried_score" in body.model_fields_set:
            await rules.try_score(tx, name, body.tried_score)
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
        "tried_score": stored.tried_score,
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
    return {"file": fault.file, "line": fault.line, "text": fault.text, "why": fault.why}


def _read(body: RuleFiles) -> Reading:
    """Read files; what goes in circles, or costs too much, is no rule either."""
    files, included = (
        [File(each.name, each.text) for each in some] for some in (body.files, body.included)
    )
    read = read_files(files, included)
    faults = _faults(read.rules)
    left, metas = without(read.rules, faults.keys())
    lost = (fault_of(rule, TURNED) for rule in read.rules if rule.name in metas)
    return Reading(left, (*read.faults, *faults.values(), *lost))


def _faults(of: Iterable[Rule]) -> Mapping[str, Fault]:
    """Return what cannot be run, with the reasons: it does not compile, or is too slow at worst."""
    compiled = compile_rules(of)
    return {**compiled.faults, **too_slow(compiled)}


async def _files(request: Request) -> RuleFiles:
    octets = await read_octets(request, MAX_FILE_OCTETS, "file")
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        try:
            body = RuleFiles.model_validate_json(octets)
        except ValidationError as wrong:
            raise invalid(str(wrong.errors()[0]["msg"])) from wrong
    else:
        body = RuleFiles(files=[RuleFile(text=decoded(octets))])
    if any("\0" in each.text for each in (*body.files, *body.included)):
        raise invalid("A file of rules holds no NUL.")
    return body
