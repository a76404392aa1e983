"""SEARCH."""

from __future__ import annotations

from imap_gateway.client import Client, Done
from imap_gateway.errors import Refusal
from imap_gateway.protocol import commands as c


async def search(_client: Client, _command: c.Search) -> Done:
    """SEARCH."""
    raise Refusal("later")
