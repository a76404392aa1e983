"""The way out: routes by domain, relays by sender."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, Field, SecretStr, model_validator

from posthouse.mail.address import MAX_DOMAIN_OCTETS
from posthouse.mail.hops import MAX_HOPS, parse_hop, parse_hops
from posthouse.mail.patterns import NULL_SENDER
from posthouse.mail.windows import parse_windows
from posthouse.storage import directory
from posthouse.storage.directory import Relay, Route, Table
from postmaster.api.actor import Actor
from postmaster.api.auditing import audited
from postmaster.api.fields import Body
from postmaster.api.parts import Means
from postmaster.api.problems import SHADOWED

router = APIRouter(tags=["ways"])


def _hops(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str, parse_hops(texts)))


def _window(text: str) -> str:
    parse_windows(text)
    return text


class WayBody(Body):
    """Next hops as the command `posthouse route set` takes them, with a login if they ask for one."""

    hops: Annotated[
        tuple[str, ...], Field(min_length=1, max_length=MAX_HOPS), AfterValidator(_hops)
    ]
    username: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> WayBody:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        return self

    @property
    def secret(self) -> str | None:
        """The password itself."""
        return self.password.get_secret_value() if self.password else None


class RouteBody(WayBody):
    """A way that may be closed: until it is asked for, or outside a window of time."""

    hold: bool = False
    window: Annotated[str, AfterValidator(_window)] | None = None


@router.get("/routes")
async def list_routes(means: Means) -> dict[str, Any]:
    """Return all routes; they are few. Passwords are not shown."""
    return {"items": [_route(route) for route in await directory.routes(means.pool)], "next": None}


@router.put("/routes/{domain}", status_code=HTTPStatus.NO_CONTENT, responses=SHADOWED)
async def set_route(
    domain: str, body: RouteBody, means: Means, actor: Actor, *, force: bool = False
) -> None:
    """Send mail for a domain, for all below it (``.example.com``) or for all (``*``) another way.

    The mail of a domain of ours ends here, whatever its route says: 409 unless ``force``.
    """
    route = Route(
        domain=domain,
        hops=tuple(map(parse_hop, body.hops)),
        username=body.username,
        password=body.secret,
        hold=body.hold,
        window=body.window,
    )
    async with audited(means.pool, actor, "route set", domain, " ".join(body.hops)) as tx:
        await directory.set_route(tx, route, force=force)


@router.delete("/routes/{domain}", status_code=HTTPStatus.NO_CONTENT)
async def remove_route(domain: str, means: Means, actor: Actor) -> None:
    """Send a domain's mail by its MX again."""
    async with audited(means.pool, actor, "route remove", domain) as tx:
        await directory.remove_route(tx, domain)


@router.get("/way")
async def find_way(
    means: Means,
    domain: Annotated[str, Query(min_length=1, max_length=MAX_DOMAIN_OCTETS)],
    sender: str = "",
) -> dict[str, Any]:
    """Tell what counts for mail to a domain (of a sender): a route, a relay, or its MX records."""
    table = Table(await directory.routes(means.pool), await directory.relays(means.pool))
    match table.find(domain, "" if sender == NULL_SENDER else sender):
        case Route() as route:
            return {"by": "route", **_route(route)}
        case Relay() as relay:
            return {"by": "relay", **_relay(relay)}
        case None:
            return {"by": "mx", "hops": ["direct"]}


@router.get("/relays")
async def list_relays(means: Means) -> dict[str, Any]:
    """Return the ways of all senders that have one; they are few. Passwords are not shown."""
    return {"items": [_relay(relay) for relay in await directory.relays(means.pool)], "next": None}


@router.put("/relays/{sender:path}", status_code=HTTPStatus.NO_CONTENT)
async def set_relay(sender: str, body: WayBody, means: Means, actor: Actor) -> None:
    """Send mail of a sender (an address, ``@domain``, ``@.domain`` or ``<>``) by servers of its own.

    A route for the recipient's domain counts more, the route ``*`` less.
    """
    relay = Relay(
        sender=sender,
        hops=tuple(map(parse_hop, body.hops)),
        username=body.username,
        password=body.secret,
    )
    async with audited(means.pool, actor, "relay set", sender, " ".join(body.hops)) as tx:
        await directory.set_relay(tx, relay)


@router.delete("/relays/{sender:path}", status_code=HTTPStatus.NO_CONTENT)
async def remove_relay(sender: str, means: Means, actor: Actor) -> None:
    """Send mail of a sender the way of all others."""
    async with audited(means.pool, actor, "relay remove", sender) as tx:
        await directory.remove_relay(tx, sender)


def _route(route: Route) -> dict[str, Any]:
    return {
        "domain": route.domain,
        "hops": [str(hop) for hop in route.hops],
        "username": route.username,
        "hold": route.hold,
        "window": route.window,
    }


def _relay(relay: Relay) -> dict[str, Any]:
    return {
        "sender": relay.sender,
        "hops": [str(hop) for hop in relay.hops],
        "username": relay.username,
    }
