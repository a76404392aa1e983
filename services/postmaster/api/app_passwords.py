"""App passwords: made here, told once, and known to nobody but a device afterwards."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import Field

from posthouse.credentials import app_passwords
from posthouse.storage import directory
from posthouse.storage.directory import AppPassword
from postmaster.api.fields import AddressKey, Body
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

MAX_NAME = 64  # characters

DeviceName: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
router = APIRouter(tags=["app passwords"])


class NewAppPassword(Body):
    """A device that is to log in as an account."""

    address: AddressKey
    name: DeviceName


@router.post("/app-passwords", status_code=HTTPStatus.CREATED)
async def add_app_password(new: NewAppPassword, means: Means) -> dict[str, str]:
    """Make a password for a device and tell it, this once; 409 if the account has that name."""
    made = app_passwords.make()
    digest = app_passwords.digest(made)
    if digest is None:
        raise ValueError("made an app password that is none")
    await directory.add_app_password(means.pool, new.address, new.name, digest)
    return {"address": new.address, "name": new.name, "password": made}


@router.get("/app-passwords")
async def list_app_passwords(address: AddressKey, means: Means) -> dict[str, Any]:
    """Return the devices of an account, at most a hundred, and when each was used last."""
    if await directory.account_by_address(means.pool, address) is None:
        raise not_found("account", address)
    found = await directory.app_passwords(means.pool, address)
    return {"items": [_shown(one) for one in found], "next": None}


@router.delete("/app-passwords", status_code=HTTPStatus.NO_CONTENT)
async def revoke_app_password(address: AddressKey, name: DeviceName, means: Means) -> None:
    """Let a device log in no more, from its next login on; 404 if there is none of that name."""
    await directory.revoke_app_password(means.pool, address, name)


def _shown(one: AppPassword) -> dict[str, Any]:
    return {
        "name": one.name,
        "created": one.created,
        "last_used": one.last_used,
        "last_service": one.last_service,
        "last_client": one.last_client,
    }
