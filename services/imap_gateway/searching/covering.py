"""Headers that a search could rule out without folding them are folded when it was answered.

So the first search of a large mailbox takes no longer than reading its headers, and the next ones,
which PostgreSQL answers, no longer than that.
"""

from __future__ import annotations

from imap_gateway.house import House
from imap_gateway.searching.lookups import Lookups
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.logs import get_logger

log = get_logger()


async def keep_covering(house: House) -> None:
    """Fold what searches have left out, a mailbox at a time, for ever."""
    while True:
        view = await house.folding.wanted()
        rows = view.rows
        try:
            await Lookups(house, view, rows, is_patient=True).cover(range(len(rows)))
        except Unavailable as error:  # the next search wants it again
            log.warning("headers not folded", account=view.account, reason=str(error))
