"""Delegates: who may send as whom besides themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator

from posthouse.mail.rights import GROUP
from posthouse.storage import directory
from posthouse.storage.directory import Delegate
from postmaster.api.fields import AddressKey, Body, Limit, address_key, page
from postmaster.api.parts import Means

BETWEEN = "\t"  # the two halves of a page's key; stands in no address


def grantee_key(text: str) -> str:
    """Return an account's address, or ``group:`` with an alias's, as they are kept; or `ValueError`."""
    group = GROUP if text.lower().startswith(GROUP) else ""
    return group + address_key(text[len(group) :])


Grantee = Annotated[str, AfterValidator(grantee_key)]

router = APIRouter(tags=["delegates"])


class DelegateBody(Body):
    """How an account may send as an address; on behalf: Sender names the account."""

    on_behalf: bool = False


@router.get("/delegates")
async def list_delegates(
    means: Means,
    after: str = "",
    limit: Limit = 100,
    address: AddressKey | None = None,
    account: Grantee | None = None,
) -> dict[str, Any]:
    """Return who may send as whom, by address; of one address or one account, or all."""
    at = after.partition(BETWEEN)
    found = await directory.delegates(
        means.pool, (at[0], at[2]), limit, address=address, account=account
    )
    return page(found, limit, _shown, lambda one: f"{one.address}{BETWEEN}{one.account}")


@router.put("/delegates/{address}/{account}", status_code=HTTPStatus.NO_CONTENT)
async def allow_delegate(
    address: AddressKey, account: Grantee, body: DelegateBody, means: Means
) -> None:
    """Let an account or a group send as an address (``*@domain``: any of a domain); 404 without it."""
    one = Delegate(address=address, account=account, on_behalf=body.on_behalf)
    await directory.allow_delegate(means.pool, one)


@router.delete("/delegates/{address}/{account}", status_code=HTTPStatus.NO_CONTENT)
async def revoke_delegate(address: AddressKey, account: Grantee, means: Means) -> None:
    """Forbid it again; 404 if it was not allowed."""
    await directory.revoke_delegate(means.pool, address, account)


def _shown(one: Delegate) -> dict[str, Any]:
    return {"address": one.address, "account": one.account, "on_behalf": one.on_behalf}
