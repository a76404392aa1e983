"""What servers outside see as the sender of a mail: itself, or a return path of ours.

A return path says, signed, which mail it is of (`posthouse.mail.return_path`); with VERP also of
which recipient, so each recipient gets a transaction of its own. The ledger keeps the sender, and
so do our own reports. A return path depends on the mail alone: all attempts show the same one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.return_path import ReturnPaths, Style, needs_return_path
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.pool import Pool

FRESH = timedelta(seconds=5)
MAX_REMEMBERED = 10_000  # senders
RECIPIENTS_AT_ONCE = 100  # RFC 5321 §4.5.3.1.8: every server takes as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Guise:
    """How one mail is shown.

    Attributes:
        paths: Writes return paths.
        sender: Whose mail it is.
        id: The message.
        style: ``signed`` or ``verp``.
    """

    paths: ReturnPaths
    sender: Address
    id: UUID
    style: Style

    @property
    def recipients_at_once(self) -> int:
        """How many recipients one transaction may have."""
        return 1 if self.style == "verp" else RECIPIENTS_AT_ONCE

    def path_for(self, recipients: Sequence[InboundRecipient]) -> str:
        """Return the reverse path of a transaction; the sender itself where it is too long."""
        path = self.paths.signed(self.sender, self.id)
        if self.style == "verp" and len(recipients) == 1:
            path = self.paths.verp(self.sender, self.id, recipients[0].n, recipients[0].address)
        return path or str(self.sender)


class ReturnAddresses:
    """Knows which senders are shown by return paths, as fresh as `FRESH`."""

    def __init__(self, pool: Pool, paths: ReturnPaths, style: Style = "plain") -> None:
        self._pool = pool
        self._paths = paths
        self._style = style
        self._remembered: OrderedDict[str, tuple[float, Style]] = OrderedDict()

    async def guise_of(self, envelope: Remote) -> Guise | None:
        """Return how ``envelope`` is shown; None for as it is. `Unavailable` if nobody can say."""
        if not needs_return_path(envelope.sender):
            return None
        style = await self._style_of(envelope.sender)
        if style == "plain":
            return None
        try:
            sender = parse_address(envelope.sender)
        except BadAddress:
            return None
        return Guise(paths=self._paths, sender=sender, id=envelope.id, style=style)

    async def _style_of(self, sender: str) -> Style:
        known = self._remembered.get(sender)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        said = (await resolve_senders(self._pool, [sender]))[sender]
        style: Style = "plain" if said is None else said.return_path or self._style
        self._remembered[sender] = (time.monotonic() + FRESH.total_seconds(), style)
        self._remembered.move_to_end(sender)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return style
