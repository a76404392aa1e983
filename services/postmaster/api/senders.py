"""Senders: how the mail of a domain or an account is sent and told of."""

from __future__ import annotations

import re
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from posthouse.mail.return_path import Style
from posthouse.storage.directory import senders as directory
from posthouse.storage.directory.senders import NamedSender, Sender
from postmaster.api.fields import Body, Limit, address_key, domain_name, page
from postmaster.api.parts import Means
from postmaster.api.problems import invalid

MAX_BOUNCES = 1000
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}")  # RFC 5646 §2.1

router = APIRouter(tags=["senders"])


def whose(text: str) -> str:
    """Return a domain's name or an account's address as it is kept; `ValueError` if it is neither."""
    return address_key(text) if "@" in text else domain_name(text)


def _language(text: str | None) -> str | None:
    if text is not None and not _LANGUAGE.fullmatch(text):
        raise ValueError("must be a language tag like de or pt-BR")
    return text


Whose: TypeAlias = Annotated[str, AfterValidator(whose)]


class SenderChange(Body):
    """What is to be different; what is left out stays, null leaves it to domain and settings."""

    language: Annotated[str | None, AfterValidator(_language)] = None
    return_path: Style | None = None
    signed_only: bool | None = None
    suppress_after: Annotated[int | None, Field(ge=0, le=MAX_BOUNCES)] = None


@router.get("/senders")
async def list_senders(means: Means, after: str = "", limit: Limit = 100) -> dict[str, Any]:
    """Return the domains and accounts of which something is said, by name."""
    found = await directory.senders(means.pool, after, limit)
    return page(found, limit, _shown, lambda one: one.whose)


@router.patch("/senders/{whose}", status_code=HTTPStatus.NO_CONTENT)
async def change_sender(whose: Whose, change: SenderChange, means: Means) -> None:
    """Say how a domain or an account sends; 404 if it is not ours."""
    given = {name: getattr(change, name) for name in change.model_fields_set}
    if not given:
        raise invalid("Say what is to change: language, return_path, signed_only, suppress_after.")
    await directory.set_sender(means.pool, whose, Sender(**given), only=given)


@router.delete("/senders/{whose}", status_code=HTTPStatus.NO_CONTENT)
async def remove_sender(whose: Whose, means: Means) -> None:
    """Leave all of it to the domain or the settings again; 404 if nothing is said."""
    await directory.remove_sender(means.pool, whose)


def _shown(one: NamedSender) -> dict[str, Any]:
    return {"whose": one.whose, **asdict(one.sender)}
