"""What the classifier learns, and has learned: of the site and of accounts."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field

from posthouse.bayes.tokens import digest_of, tokens_of
from posthouse.storage.bayes import corpora, expiring, learning, wishes
from posthouse.storage.bayes.learning import Lesson
from posthouse.storage.directory.accounts import account_by_address
from posthouse.storage.mailboxes import MAX_NAME_OCTETS, NoSuchMailbox, find_mailbox
from posthouse.storage.pool import Pool
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import MAX_NUMBER, AddressKey, Body, Limit, address_key, page
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

MAX_MESSAGES = 200  # of one request, whose body has 4 MiB at most
SITE_NAME = "site"

router = APIRouter(tags=["bayes"])

Kind: TypeAlias = Literal["spam", "ham"]


def _octets(text: str) -> str:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ValueError("is not base64") from fault
    return text


def _whose(text: str) -> str:
    return text if text == SITE_NAME else address_key(text)


After: TypeAlias = Annotated[int, Query(ge=-1, le=MAX_NUMBER)]
Whose: TypeAlias = Annotated[str, AfterValidator(_whose)]
Message: TypeAlias = Annotated[str, AfterValidator(_octets)]


class Lessons(Body):
    """Messages, in base64 (their first 256 KiB do), and what they are.

    Attributes:
        kind: As what they are learned; ``forget``: as if they had never been.
        whose: An account's address, or ``site``.
        messages: With CRLF at the end of each line.
    """

    kind: Literal["spam", "ham", "forget"]
    whose: Whose = SITE_NAME
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MAX_MESSAGES)]


class FolderLesson(Body):
    """All messages of a mailbox, and what they are.

    Attributes:
        kind: As what they are learned.
        whose: An account's address, or ``site``.
        address: Whose mailbox.
        mailbox: Its name.
    """

    kind: Kind
    whose: Whose = SITE_NAME
    address: AddressKey
    mailbox: Annotated[str, Field(min_length=1, max_length=MAX_NAME_OCTETS)]


@router.get("/policy/bayes")
async def list_corpora(means: Means, after: After = -1, limit: Limit = 100) -> dict[str, Any]:
    """Return who has learned how much, the site first, and how many messages wait to be learned."""
    found = await corpora.corpora(means.pool, after, limit)
    answer = page(found, limit, asdict, lambda one: one.owner)
    return {**answer, "waiting": await wishes.waiting(means.pool)}


@router.post("/policy/bayes/lessons")
async def learn_messages(body: Lessons, means: Means, actor: Actor) -> dict[str, int]:
    """Learn messages, each once, as what was said last; return what became of them."""
    owner = await _owner(means.pool, body.whose)
    is_spam = None if body.kind == "forget" else body.kind == "spam"
    lessons = await asyncio.to_thread(_read, body.messages, is_spam=is_spam)
    chosen = f"{len(lessons)} messages for {body.whose}"
    async with audited(means.pool, actor, f"bayes {body.kind}", chosen) as tx:
        return asdict(await learning.learn(tx, owner, lessons))


@router.post("/policy/bayes/folders", status_code=HTTPStatus.ACCEPTED)
async def learn_folder(body: FolderLesson, means: Means, actor: Actor) -> dict[str, int]:
    """Have all messages of a mailbox learned within seconds or minutes; return how many."""
    owner = await _owner(means.pool, body.whose)
    account = await _owner(means.pool, body.address)
    try:
        box = await find_mailbox(means.pool, account, body.mailbox)
    except NoSuchMailbox as missing:
        raise not_found("mailbox", body.mailbox) from missing
    chosen = f"{body.mailbox} of {body.address} for {body.whose}"
    async with audited(means.pool, actor, f"bayes {body.kind}", chosen) as tx:
        count = await wishes.wish_folder(tx, owner, (account, box.id), is_spam=body.kind == "spam")
    return {"waiting": count}


@router.delete("/policy/bayes/{whose}", status_code=HTTPStatus.NO_CONTENT)
async def forget_all(whose: Whose, means: Means, actor: Actor) -> None:
    """Forget all that the site or an account has learned."""
    owner = await _owner(means.pool, whose)
    async with audited(means.pool, actor, "bayes reset", whose) as tx:
        await expiring.forget(tx, owner)


async def _owner(pool: Pool, whose: str) -> int:
    if whose == SITE_NAME:
        return corpora.SITE
    account = await account_by_address(pool, whose)
    if account is None:
        raise not_found("account", whose)
    return account.id


def _read(messages: Sequence[str], *, is_spam: bool | None) -> list[Lesson]:
    decoded = map(b64decode, messages)
    return [
        Lesson(digest=digest_of(octets), tokens=tokens_of(octets), is_spam=is_spam)
        for octets in decoded
    ]
