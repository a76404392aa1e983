"""Lists of domains as a check of the whole message: where its links lead, where answers to it go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.lists.link_names import hosts_in, names_of
from policy_engine.lists.zones import Zones
from posthouse.mail.header import unfold
from posthouse.mime.addresses import Mailbox, parse_addresses
from posthouse.storage.list_zones import Subject

IN_THREAD_OCTETS = 16 * 1024
MAX_ADDRESSES = 20
MAX_FIELD_OCTETS = 4096  # to read more would hold all others up
_AUTHORS = (b"from", b"reply-to")


class LinksCheck:
    """Asks lists in DNS about the domains that stand in a message, of whoever sends it."""

    def __init__(self, zones: Zones) -> None:
        self.name = "links"
        self.if_away: Action | None = None
        self.wants_all = False
        self._zones = zones

    @property
    def of_strangers(self) -> bool:
        """True if there are such lists."""
        return self._zones.may_ask("link", "author")

    @property
    def of_ours(self) -> bool:
        """The same: what a stolen account sends leads somewhere, too."""
        return self.of_strangers

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return which lists have what the message names; raise `Unavailable`."""
        await self._zones.look()
        names: dict[Subject, Sequence[str]] = {}
        seed = case.id.bytes
        if self._zones.may_ask("author"):
            names["author"] = names_of(_author_hosts(case), seed)
        if self._zones.may_ask("link"):
            names["link"] = names_of(await _link_hosts(case), seed)
        standing = await self._zones.naming(names)
        return tuple(each.finding("LINK") for each in standing.listings)


def _author_hosts(case: Case) -> Iterator[str]:
    for name in _AUTHORS:
        for each in case.header.all(name)[:MAX_ADDRESSES]:
            for mailbox in _addresses_in(each):
                if mailbox.host:
                    yield mailbox.host.decode("utf-8", "replace")


def _addresses_in(field: bytes) -> Sequence[Mailbox]:
    value = unfold(field.partition(b":")[2][:MAX_FIELD_OCTETS])
    return parse_addresses(value)[:MAX_ADDRESSES]


async def _link_hosts(case: Case) -> Sequence[str]:
    if len(case.octets) > IN_THREAD_OCTETS:
        return await asyncio.to_thread(lambda: list(hosts_in(case.letter.uri)))
    return list(hosts_in(case.letter.uri))
