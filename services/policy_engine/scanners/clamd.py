"""ClamAV: clamd's INSTREAM, with commands and replies that end in NUL (clamd(8)).

Which virus it was stands in the log alone: who sent it needs no help to get past us.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.scanners.addresses import Address
from policy_engine.scanners.scanner import Answer, Pieces
from policy_engine.scanners.trouble import Broken, TooLarge
from policy_engine.scanners.wire import Wire, connected
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import gauge

TEXT = "Message refused: it carries a virus"
MAX_NAME_CHARACTERS = 200
_LENGTH_OCTETS = 4
_END = b"\0"
_VERSION = re.compile(r"ClamAV (?P<version>[^/\s]+)(?:/(?P<number>\d+)/(?P<made>.+))?")
_MADE = "%a %b %d %H:%M:%S %Y"

_MADE_AT = gauge(
    "posthouse_policy_virus_signatures_timestamp_seconds",
    "When clamd's daily signatures were made, of the address seen last; 0: it has none.",
)
log = get_logger()


class Clamd:
    """Speaks to clamd."""

    name = "clamd"

    def __init__(self, virus: Action) -> None:
        """Ask for ``virus`` where one is found."""
        self._virus = virus

    async def scan(self, address: Address, case: Case, octets: Pieces) -> Answer:
        """Return what clamd says; see `Dialect`."""
        async with connected(address) as wire:
            reply = await wire.exchange(_stream(wire, octets), lambda: wire.until(_END))
        said = reply.decode("utf-8", "replace").strip()
        if said == "stream: OK":
            return Answer(verdict="clean")
        if said.endswith(" FOUND"):
            name = said.removeprefix("stream: ").removesuffix(" FOUND")[:MAX_NAME_CHARACTERS]
            log.info(
                "virus found", envelope=case.id, virus=name, client=case.client, sender=case.sender
            )
            found = Finding(
                rule="CLAMD_VIRUS", seen=name, action=self._virus, text=TEXT, enhanced=(5, 7, 1)
            )
            return Answer(verdict="virus", findings=(found,))
        if not said.endswith(" ERROR"):
            raise Broken("this is not clamd")
        if "size limit exceeded" in said:
            raise TooLarge
        raise Unavailable("clamd cannot scan this message", detail=f"clamd says: {said[:200]}")

    async def probe(self, address: Address) -> None:
        """Ask for its version, and note how old its signatures are; see `Dialect`."""
        async with connected(address) as wire:
            await wire.send(b"zVERSION" + _END)
            said = (await wire.until(_END)).decode("utf-8", "replace")
        found = _VERSION.fullmatch(said.strip())
        if found is None:
            raise Broken("this is not clamd")
        _MADE_AT.set(_made_at(found["made"]))


def _made_at(text: str | None) -> float:
    if not text:
        return 0.0
    try:
        return datetime.strptime(text, _MADE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


async def _stream(wire: Wire, octets: Pieces) -> None:
    await wire.send(b"zINSTREAM" + _END)
    async for piece in octets():
        await wire.send(len(piece).to_bytes(_LENGTH_OCTETS, "big") + piece)
    await wire.send(bytes(_LENGTH_OCTETS))
