"""Changes that an import has found, as requests to the API: in words, and whether it is so already."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any

from postmaster.cli.client import Client, path
from postmaster.taking_over.changes import (
    CatchAll,
    Change,
    Delimiters,
    NewAlias,
    NewDomain,
    NewNetwork,
    NewRelay,
    NewRoute,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        words: The change, for people.
        is_there: It is so already.
        method: Of HTTP; likewise what follows.
    """

    words: str
    is_there: bool
    method: str
    where: str
    body: dict[str, Any] = field(default_factory=dict)


class Standing:
    """What is there of the kinds that are wanted."""

    def __init__(self, api: Client, wanted: Set[type[Change]]) -> None:
        def rows(kind: type[Change], name: str) -> list[dict[str, Any]]:
            return list(api.rows(path(name))) if kind in wanted else []

        self._domains = {row["domain"]: row for row in api.rows(path("domains"))}
        self._routes = {row["domain"]: row["hops"] for row in rows(NewRoute, "routes")}
        self._relays = {row["sender"]: row["hops"] for row in rows(NewRelay, "relays")}
        self._networks = {row["network"]: row["relay"] for row in rows(NewNetwork, "networks")}
        self._aliases = {row["address"]: row for row in rows(NewAlias, "aliases")}

    @singledispatchmethod
    def asked(self, change: Change) -> Asked:
        """Return what makes it so."""
        raise TypeError(f"{change} is written with others of its kind")

    @asked.register
    def _(self, change: NewDomain) -> Asked:
        name = change.domain
        is_there, body = name in self._domains, {"domain": name}
        return Asked(f"domain {name}", is_there, "POST", path("domains"), body)

    @asked.register
    def _(self, change: Delimiters) -> Asked:
        words = f"delimiters of {change.domain}: {change.delimiters}"
        return self._patched(change.domain, words, "delimiters", change.delimiters)

    @asked.register
    def _(self, change: CatchAll) -> Asked:
        words = f"catch-all of {change.domain}: {change.address}"
        return self._patched(change.domain, words, "catch_all", change.address)

    @asked.register
    def _(self, change: NewRoute) -> Asked:
        words, hops = f"route {change.domain}: {', '.join(change.hops)}", list(change.hops)
        is_there = self._routes.get(change.domain) == hops
        return Asked(words, is_there, "PUT", path("routes", change.domain), {"hops": hops})

    @asked.register
    def _(self, change: NewRelay) -> Asked:
        words, hops = f"relay {change.sender}: {', '.join(change.hops)}", list(change.hops)
        is_there = self._relays.get(change.sender) == hops
        return Asked(words, is_there, "PUT", path("relays", change.sender), {"hops": hops})

    @asked.register
    def _(self, change: NewNetwork) -> Asked:
        words = f"network {change.network}: {'may relay' if change.relay else 'may not relay'}"
        is_there = self._networks.get(change.network) == change.relay
        return Asked(
            words, is_there, "PUT", path("networks", change.network), {"relay": change.relay}
        )

    @asked.register
    def _(self, change: NewAlias) -> Asked:
        address = change.address.lower()
        known = self._aliases.get(address, {})
        body = {"targets": list(change.targets), "owner": change.owner}
        is_there = {**known, **body} == known
        words = f"alias {address}: {', '.join(change.targets)}"
        body |= {"posters": known.get("posters", [])}  # who may post is said here alone
        return Asked(words, is_there, "PUT", path("aliases", address), body)

    def _patched(self, domain: str, words: str, name: str, value: str) -> Asked:
        is_there = self._domains.get(domain, {}).get(name) == value
        return Asked(words, is_there, "PATCH", path("domains", domain), {name: value})
