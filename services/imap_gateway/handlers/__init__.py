"""What carries out each command: `HANDLERS`, by the command's type; each family says its own."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.client import Handlers
from imap_gateway.handlers import (
    annotating,
    appending,
    copying,
    entry,
    fetching,
    folders,
    granting,
    listing,
    modes,
    multisearching,
    notifying,
    plain,
    quotas,
    searching,
    selecting,
    sorting,
    statuses,
    storing,
)

_FAMILIES: Final = (
    plain.HANDLERS,
    entry.HANDLERS,
    modes.HANDLERS,
    selecting.HANDLERS,
    folders.HANDLERS,
    listing.HANDLERS,
    statuses.HANDLERS,
    annotating.HANDLERS,
    granting.HANDLERS,
    quotas.HANDLERS,
    appending.HANDLERS,
    searching.HANDLERS,
    multisearching.HANDLERS,
    sorting.HANDLERS,
    fetching.HANDLERS,
    storing.HANDLERS,
    copying.HANDLERS,
    notifying.HANDLERS,
)

HANDLERS: Final[Handlers] = MappingProxyType(
    {command: handler for family in _FAMILIES for command, handler in family.items()}
)
