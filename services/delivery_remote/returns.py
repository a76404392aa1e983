"""A site that comes back gets its mail at once: one mail asks, then the rest follows.

While a site rests its mail is put off, for hours at last, into wait queues that nobody can empty.
When a session with it works again, what waits for the domains that met the rest is made due in the
ledger and published anew, portion by portion, as long as the site keeps up; as if it had asked for
it by ETRN. Nothing is lost if this process dies meanwhile: the old copies come at their times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType

from delivery_remote.next_hop import Destination
from posthouse.mail.envelope import Envelope
from posthouse.mail.errors import Unavailable
from posthouse.storage.ledger import Released, Walk, release_some
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

PAUSE = timedelta(milliseconds=250)  # between two portions for one site
MAX_BACK = 10_000  # domains at once; what waits for more of them goes at its time
AT_ONCE = 20  # domains served in one round

log = get_logger()
_returned = counter(
    "posthouse_remote_returned_total",
    "Recipients made due because their site is back",
)

Release = Callable[[str, Walk, int], Awaitable[Released]]
Publish = Callable[[Sequence[Envelope]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Back:
    """A domain whose site is back, and how far we are with its mail."""

    domain: str
    site: Destination
    walk: Walk


class Returns:
    """Follows sites that are back; use it as a context manager around the consumers."""

    def __init__(self, release: Release, publish: Publish, rate: float) -> None:
        """Make due at most ``rate`` recipients a second for one domain."""
        self._release = release
        self._publish = publish
        self._portion = max(1, round(rate * PAUSE.total_seconds()))
        self._back: dict[str, _Back] = {}
        self._some = asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Returns:
        await self._tasks.__aenter__()
        self._server = self._tasks.create_task(self._serve(), name="returns")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.cancel()
        await self._tasks.__aexit__(kind, raised, traceback)

    def look(self, site: Destination, domain: str) -> None:
        """A mail for ``domain`` was tried at ``site``: the rest follows if that is back."""
        if site.resting():
            site.missed(domain)
            return
        for name in site.returned():
            if len(self._back) < MAX_BACK:
                self._back[name] = _Back(name, site, Walk(began=datetime.now(UTC)))
                self._some.set()

    async def _serve(self) -> None:
        while True:
            await self._some.wait()
            for back in list(self._back.values())[:AT_ONCE]:
                await self._follow(back)
            if not self._back:
                self._some.clear()
            await asyncio.sleep(PAUSE.total_seconds())  # the pace, not a condition

    async def _follow(self, back: _Back) -> None:
        """Publish the next portion for one domain, unless its site has enough to do."""
        del self._back[back.domain]
        if back.site.resting():
            back.site.missed(back.domain)  # it went away again: what is left waits for its return
            return
        walk: Walk | None = back.walk
        if not back.site.is_crowded:
            walk = await self._portion_of(back)
        if walk is not None and back.domain not in self._back:
            self._back[back.domain] = replace(back, walk=walk)  # behind the others

    async def _portion_of(self, back: _Back) -> Walk | None:
        try:
            portion = await self._release(back.domain, back.walk, self._portion)
        except Unavailable as trouble:
            log.warning("mail of a site that is back waits", reason=str(trouble))
            return back.walk
        if portion.envelopes:
            await self._publish(portion.envelopes)
            _returned.inc(portion.recipients)
            log.info("site is back", domain=back.domain, recipients=portion.recipients)
        return portion.rest


def returns(pool: Pool, publish: Publish, rate: float) -> Returns:
    """Return the `Returns` of one process."""
    return Returns(partial(release_some, pool), publish, rate)
