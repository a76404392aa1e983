"""What was learned, as this process remembers it: for seconds, and not too much of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from posthouse.bayes.combining import Counts
from posthouse.mail.errors import Unavailable
from posthouse.storage.bayes.corpora import SITE, Corpus, corpora_of, counts, is_any_ready
from posthouse.storage.pool import Pool
from posthouse.telemetry.metrics import counter
from posthouse.telemetry.outages import Outage

REMEMBER_SECONDS = 5.0
MAX_TOKENS = 200_000  # remembered, some 40 megabytes
MAX_ADDRESSES = 20_000

_ASKED = counter("posthouse_policy_bayes_tokens_total", "Tokens looked up, by where.", "where")


class Memory:
    """Corpora and counts, not older than `REMEMBER_SECONDS`."""

    def __init__(
        self,
        pool: Pool,
        least: int,
        *,
        with_accounts: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Judge by corpora of ``least`` messages of each kind, those of accounts if wanted."""
        self._pool = pool
        self._least = least
        self._with_accounts = with_accounts
        self._clock = clock
        self._until = 0.0
        self._counts: dict[int, dict[int, tuple[int, int]]] = {}
        self._corpora: dict[str, Corpus | None] = {}
        self.is_ready = False

    async def watch(self) -> None:
        """Look for ever whether anybody has learned enough."""
        outage = Outage("learned mail not asked for", "learned mail asked for again")
        while True:
            try:
                await self.look()
                outage.over()
            except Unavailable as trouble:
                outage.away(str(trouble))
            await asyncio.sleep(REMEMBER_SECONDS)

    async def look(self) -> None:
        """Find out whether anybody has learned enough."""
        self.is_ready = await is_any_ready(
            self._pool, self._least, with_accounts=self._with_accounts
        )

    async def corpus_for(self, recipients: Sequence[str]) -> Corpus | None:
        """Return by which corpus mail to ``recipients`` is judged; None if nobody learned enough.

        It is the account's own where there is one recipient, else the site's.
        """
        self._refresh()
        known = self._corpora
        address = recipients[0] if self._with_accounts and len(recipients) == 1 else ""
        if address not in known:
            found = await corpora_of(self._pool, [address] if address else [])
            if len(known) >= MAX_ADDRESSES:
                known.clear()
            known[""] = self._enough(found.get(""))
            known[address] = self._enough(found.get(address)) or known[""]
        return known[address]

    async def counts(self, owner: int, tokens: Sequence[int]) -> Counts:
        """Return how often each of ``tokens`` was learned, asking once for all that is not fresh."""
        self._refresh()
        known = self._counts.setdefault(owner, {})
        missing = [token for token in tokens if token not in known]
        _ASKED.labels("memory").inc(len(tokens) - len(missing))
        if missing:
            _ASKED.labels("database").inc(len(missing))
            found = await counts(self._pool, owner, missing)
            known.update((token, found.get(token, (0, 0))) for token in missing)
            if sum(map(len, self._counts.values())) > MAX_TOKENS:
                self._counts = {}  # who still reads `known` has it
        return known

    def _enough(self, corpus: Corpus | None) -> Corpus | None:
        if corpus is None or min(corpus.spam, corpus.ham) < self._least:
            return None
        return corpus

    def _refresh(self) -> None:
        if self._until < self._clock():
            self._until = self._clock() + REMEMBER_SECONDS
            self._counts, self._corpora = {}, {}


def whose(corpus: Corpus) -> str:
    """Return whose corpus it is, for people."""
    return "the site" if corpus.owner == SITE else corpus.address
