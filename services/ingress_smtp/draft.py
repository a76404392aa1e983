"""A message while it comes in: in memory as long as it is small, from then on in the spool.

What is kept is what will be stored: inspected on its way, under our letterhead as soon as its
header is whole. So a large message is written once, and needs the memory of its last octets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from ingress_smtp import replies
from ingress_smtp.budget import Budget, Share
from ingress_smtp.framing import DRAIN_OCTETS
from ingress_smtp.hygiene import Inspection
from ingress_smtp.letterhead import Letterhead
from ingress_smtp.replies import Reply, say
from posthouse.mail.errors import MailFailure
from posthouse.mail.header import CRLF, header_end
from posthouse.mime.pages import Octets, body_start
from posthouse.runtime.spool import Spool, SpoolFile
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

_SPOOLED = counter("posthouse_ingress_spooled_total", "Messages that went to the spool.")
log = get_logger()

WRITTEN_OCTETS = 128 * 1024  # at once, of a message that is in the spool

_LINE_ENDS = {b"", CRLF}  # of a text that has none, and of all others


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it is stored.

    Attributes:
        ident: Its id.
        content: Its octets or, of a large one, the file that holds them.
        size: How many they are.
        is_ascii: All of them are.
    """

    ident: UUID
    content: bytes | SpoolFile
    size: int
    is_ascii: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What messages in reception may take.

    Attributes:
        memory: Octets that they may have in memory.
        disk: Octets that they may have in the spool.
        spool: Where the large ones go.
        threshold: Octets from which on a message is large.
    """

    memory: Budget
    disk: Budget
    spool: Spool
    threshold: int

    @property
    def is_full(self) -> bool:
        """True if no message should be begun now."""
        return self.memory.is_spent or self.disk.is_spent


class Draft:
    """One message in reception; `close` it at the end.

    Attributes:
        inspection: What is seen of it.
        letterhead: What it gets on top; None keeps it as it comes.
        refusal: Why it will not be taken, None so far; then nothing more is kept.
    """

    def __init__(self, inspection: Inspection, letterhead: Letterhead | None, space: Space) -> None:
        self.inspection = inspection
        self.letterhead = letterhead
        self.refusal: Reply | None = None
        self._space = space
        self._memory = Share(space.memory)
        self._disk = Share(space.disk)
        self._kept = bytearray()
        self._last = b""  # two octets
        self._file: SpoolFile | None = None
        self._is_ascii = True
        self._dropped = 0

    @property
    def is_full(self) -> bool:
        """True if `spill` is to be called before more is taken."""
        most = self._space.threshold
        return len(self._kept) >= (most if self._file is None else min(most, WRITTEN_OCTETS))

    @property
    def is_refused(self) -> bool:
        """True if there is a refusal."""
        return self.refusal is not None

    @property
    def is_hopeless(self) -> bool:
        """True if so much was read since the refusal that the client is not heard out."""
        return self._dropped > DRAIN_OCTETS

    def take(self, octets: bytes) -> None:
        """Take the next octets of the content."""
        if self.refusal is None:
            self._keep(self.inspection.see(octets))
        else:
            self._dropped += len(octets)

    def refuse(self, reply: Reply) -> None:
        """Keep nothing more; the first reason is the one that the client is told."""
        if self.refusal is None:
            self.refusal = reply
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def hang_up(self) -> None:
        """Close the connection with the refusal."""
        if self.refusal is not None:
            self.refusal = Reply(self.refusal.wire, closes=True)

    async def spill(self) -> None:
        """Move what is in memory to the spool, once the header is whole."""
        if self.refusal is not None or not self.inspection.is_past_header:
            return
        try:
            if self._file is None:
                self._file = await self._space.spool.create()
                _SPOOLED.inc()
                await self._write(self._file, await self._beginning())
            if self.refusal is None:
                kept, self._kept = self._kept, bytearray()  # not copied: large messages are many
                await self._write(self._file, kept)
        except MailFailure as failure:  # the rest of the message is still to be read
            self.refuse(say(f"{failure.status} {failure.public}"))
        except OSError as trouble:
            log.warning("message not spooled", reason=str(trouble))
            self.refuse(replies.UNAVAILABLE)

    async def content(self) -> bytes | SpoolFile | None:
        """Return all of the content, which is complete; None if it is refused."""
        if self._file is not None:
            await self.spill()
        content = None if self.is_refused else self._file or await self._headed(bytes(self._kept))
        return None if self.is_refused else content

    async def rewrite(self, how: Callable[[Octets], Iterator[bytes]], other: Draft) -> None:
        """Have ``other`` take what ``how`` makes of the complete content."""
        content = await self.content()
        if content is None:
            other.refuse(self.refusal or replies.UNAVAILABLE)
            return
        if isinstance(content, bytes):
            for portion in how(content):
                other.take(portion)
            return
        portions = how(content.pages())
        while (portion := await content.work(next, portions, None)) is not None:
            other.take(portion)
            if other.is_full:
                await other.spill()

    async def letter(self, *, recipients: Collection[str], declared: bool) -> Letter | None:
        """Return the complete message as it is to be stored, None if it is refused.

        Args:
            recipients: Of this transaction.
            declared: The client said 8BITMIME or SMTPUTF8.
        """
        if self.refusal is not None:
            return None
        self._end()
        objection = self.inspection.finish(recipients=recipients, declared=declared)
        if objection is not None:
            self.refuse(objection)
        content = await self.content()
        if content is None or self.letterhead is None or self.letterhead.ident is None:
            return None
        if not isinstance(content, bytes):
            return Letter(self.letterhead.ident, content, content.size, self._is_ascii)
        return Letter(self.letterhead.ident, content, len(content), content.isascii())

    async def under(self, letter: Letter, header: bytes) -> Letter | None:
        """Return ``letter``, which is complete, under another header; None if it is refused now.

        One in the spool is copied: a file cannot grow at its beginning.
        """
        is_ascii = letter.is_ascii and header.isascii()
        if isinstance(letter.content, bytes):
            content = header + letter.content[header_end(letter.content) :]
            return Letter(letter.ident, content, len(content), content.isascii())
        old = letter.content
        start = await old.work(body_start, old.pages())
        size = len(header) + old.size - start
        if not self._disk.grow_to(old.size + size):
            self.refuse(replies.NO_MEMORY)
            return None
        try:
            self._file = new = await self._space.spool.create()
            await new.append(header)
            await new.copy(old, start)
        except OSError as trouble:
            log.warning("message not copied", reason=str(trouble))
            self.refuse(replies.UNAVAILABLE)
            return None
        finally:
            old.close()
        return Letter(letter.ident, new, size, is_ascii)

    def _end(self) -> None:
        """Take what was held back, and a last line end if BDAT brought none."""
        if rest := self.inspection.rest():
            self._keep(rest)
        if self._last not in _LINE_ENDS:
            self._keep(self.inspection.see(CRLF))

    def close(self) -> None:
        """Give everything back; idempotent."""
        self._kept.clear()
        if self._file is not None:
            self._file.close()
        self._memory.close()
        self._disk.close()

    def _keep(self, octets: bytes) -> None:
        if self.inspection.objection is not None:
            self.refuse(self.inspection.objection)
        elif not self._memory.grow_to(len(self._kept) + len(octets)):
            self.refuse(replies.NO_MEMORY)
        else:
            self._kept += octets
            self._last = (self._last + octets)[-2:] if len(octets) < len(CRLF) else octets[-2:]

    async def _write(self, file: SpoolFile, octets: bytes | bytearray) -> None:
        self._is_ascii = self._is_ascii and octets.isascii()
        if self.refusal is not None:
            return
        if self._disk.grow_to(file.size + len(octets)):
            await file.append(octets)
        else:
            self.refuse(replies.NO_MEMORY)

    async def _beginning(self) -> bytes:
        """Take the header off what is kept, all of that if there is none, and return it headed."""
        octets = bytes(self._kept[: len(self.inspection.header) or None])
        del self._kept[: len(octets)]
        return await self._headed(octets)

    async def _headed(self, octets: bytes) -> bytes:
        """Return ``octets`` below our letterhead; empty if that refuses the message."""
        headed = await self.letterhead.over(octets) if self.letterhead else octets
        if isinstance(headed, Reply):
            self.refuse(headed)
            return b""
        return headed
