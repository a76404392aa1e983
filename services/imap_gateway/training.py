r"""Training: who moves mail into \Junk, or out of it, says what it is; the classifier learns that.

What goes from Junk to Trash is only thrown away. The wish is noted behind the change and learned by
the postmaster; where that fails nothing is learned, and the command is not touched by it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from imap_gateway.committing import after_commit
from posthouse.runtime.training_settings import Trains
from posthouse.storage.bayes.corpora import SITE
from posthouse.storage.bayes.wishes import wish_messages
from posthouse.storage.pool import Pool

JUNK: Final = "\\Junk"
TRASH: Final = "\\Trash"
_SAID: Final = {"$junk": True, "$notjunk": False}  # keywords registered with IANA

Box = tuple[int, int]  # account and mailbox


class Training:
    """Notes what people say of their mail."""

    def __init__(self, pool: Pool, trains: Trains) -> None:
        """Note for the corpora that ``trains`` names."""
        self._pool = pool
        self._own = trains in {"own", "both"}
        self._site = trains in {"site", "both"}

    async def moved(
        self, uses: tuple[Sequence[str], Sequence[str]], box: Box, uids: Sequence[int]
    ) -> None:
        """Note that ``uids`` came into ``box``; ``uses`` are those of both mailboxes, from and to."""
        is_spam = kind_of_move(*uses)
        if is_spam is not None:
            await self._note(box, uids, is_spam=is_spam)

    async def flagged(self, words: Collection[str], box: Box, uids: Sequence[int]) -> None:
        """Note that these keywords were given to ``uids`` of ``box``."""
        is_spam = kind_of_words(words)
        if is_spam is not None:
            await self._note(box, uids, is_spam=is_spam)

    async def _note(self, box: Box, uids: Sequence[int], *, is_spam: bool) -> None:
        owners = [box[0]] * self._own + [SITE] * self._site
        if not owners or not uids:
            return
        with after_commit():
            await wish_messages(self._pool, owners, box, uids, is_spam=is_spam)


def kind_of_move(source: Collection[str], target: Collection[str]) -> bool | None:
    """Return whether mail that goes from one mailbox to another is spam; None: that says nothing."""
    if (JUNK in source) == (JUNK in target):
        return None
    if JUNK in target:
        return True
    return None if TRASH in target else False


def kind_of_words(words: Collection[str]) -> bool | None:
    """Return what keywords say; None if nothing, or both at once."""
    said = {_SAID[word.lower()] for word in words if word.lower() in _SAID}
    return said.pop() if len(said) == 1 else None
