"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).

Roots are ``user:`` with an address, ``domain:`` and ``tenant:`` with a name. Everybody sees their own
and those above it that limit something; who manages quotas of a domain sees and sets those of its
users, and the storage of its own. Messages and mailboxes of domains and tenants are limited by operators.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import after_commit
from imap_gateway.errors import Refusal
from imap_gateway.protocol import responses
from imap_gateway.protocol import sharing as v
from imap_gateway.protocol.sharing import Resource
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.quotas import (
    Limits,
    Quota,
    Scope,
    find_quota,
    manages,
    quotas_of,
    set_limits,
)

UNIT_OCTETS = 1024  # of STORAGE, RFC 9208 §5.1
MAX_STORAGE = (2**63 - 1) // UNIT_OCTETS


async def get_quota(client: Client, command: v.GetQuota) -> Done:
    """GETQUOTA (§4.1.1)."""
    own = await quotas_of(client.house.pool, client.account)
    quota = next((one for one in own if _root(one) == command.root.lower()), None)
    if quota is None:
        quota = await _managed(client, command.root)
    client.wire.write(_line(quota))
    return Done("GETQUOTA done")


async def get_quota_root(client: Client, command: v.GetQuotaRoot) -> Done:
    """GETQUOTAROOT (§4.1.2) needs the right ``r``; one's own mailbox need not exist."""
    place = await places.locate(client, command.mailbox)
    try:
        await places.find(client, command.mailbox, "r")
    except NoSuchMailbox:
        if place.owner is not None:
            raise
    quotas = await quotas_of(client.house.pool, place.account)
    names = [responses.string(_root(quota).encode()) for quota in quotas]
    told = b" ".join([b"QUOTAROOT", client.shown(command.mailbox), *names])
    client.wire.write(responses.untagged(told) + b"".join(map(_line, quotas)))
    return Done("GETQUOTAROOT done")


async def set_quota(client: Client, command: v.SetQuota) -> Done:
    """SETQUOTA (§4.1.3): limits that are not named go."""
    quota = await _managed(client, command.root)
    storage = command.limits.get(Resource.STORAGE)
    new = Limits(
        octets=None if storage is None else min(storage, MAX_STORAGE) * UNIT_OCTETS,
        messages=command.limits.get(Resource.MESSAGE),
        mailboxes=command.limits.get(Resource.MAILBOX),
    )
    await set_limits(client.house.pool, quota.scope, quota.name, new)
    with after_commit():
        changed = await find_quota(client.house.pool, quota.scope, quota.name)
        client.wire.write(_line(changed) if changed is not None else b"")
    return Done("SETQUOTA done")


async def _managed(client: Client, root: str) -> Quota:
    """Return a quota that this user manages; raise `Refusal`: nobody learns whether another is."""
    scope, _, name = root.lower().partition(":")
    pool, domain = client.house.pool, name.rpartition("@")[2]
    if scope in {Scope.USER.value, Scope.DOMAIN.value} and await manages(
        pool, client.account, domain
    ):
        quota = await find_quota(pool, Scope(scope), name)
        if quota is not None:
            return quota
    raise Refusal("No such quota root, or not yours", b"NOPERM")


def _root(quota: Quota) -> str:
    return f"{quota.scope.value}:{quota.name}"


def _line(quota: Quota) -> bytes:
    """Return the QUOTA response (§4.2.1): what is not limited is not told.

    Numbers of messages and mailboxes are exact (§5.2, §5.3): they are counted in each commit.
    """
    limits = quota.limits
    storage = None if limits.octets is None else limits.octets // UNIT_OCTETS
    resources = (
        (Resource.STORAGE, -(-quota.octets // UNIT_OCTETS), storage),
        (Resource.MESSAGE, quota.messages, limits.messages),
        (Resource.MAILBOX, quota.mailboxes, limits.mailboxes),
    )
    told = b" ".join(
        b"%b %d %d" % (resource.value, used, limit)
        for resource, used, limit in resources
        if limit is not None
    )
    root = responses.string(_root(quota).encode())
    return responses.untagged(b"QUOTA %b (%b)" % (root, told))


HANDLERS: Final[Handlers] = MappingProxyType({
    v.GetQuota: get_quota,
    v.GetQuotaRoot: get_quota_root,
    v.SetQuota: set_quota,
})  # fmt: skip
