"""One session: its state, and the one place where failures become NO, BAD and BYE (RFC 3501 §7.1)."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import timedelta

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import committing
from imap_gateway.errors import ConnectionLost, Farewell, Misuse, Refusal
from imap_gateway.handlers.notifying import tell_elsewhere, tell_new
from imap_gateway.progress import LONG, reported
from imap_gateway.protocol import responses
from imap_gateway.protocol.commands import Command, Idle, StartTls, Tagged
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.protocol.finding import Search, Sort, Thread
from imap_gateway.protocol.framing import Frame, TooLarge
from imap_gateway.protocol.grammar import BadCommand, parse
from imap_gateway.state import (
    ALLOWED,
    CHANGING,
    COUNTING,
    EXPUNGING,
    LEAVING,
    NUMBERED,
    OF_MESSAGES,
    State,
)
from imap_gateway.telling import may_have_news, tell
from imap_gateway.view.matching import names_numbers
from posthouse.mail.errors import MailFailure, MissingObject, Unavailable
from posthouse.storage.mailboxes import (
    MailboxExists,
    NoRoomForMailbox,
    NoSuchMailbox,
    TooManyMailboxes,
)
from posthouse.storage.messages import OverQuota
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_BAD_COMMANDS = 20  # in a row; RFC 3501 says nothing, but no mail client needs more

AGAIN = timedelta(seconds=30)  # an outage kept news from an idling client

log = get_logger()
_commands = counter("posthouse_imap_commands_total", "Commands answered.", "command", "answer")

_CODES: tuple[tuple[type[MailFailure], bytes], ...] = (
    (NoSuchMailbox, b"NONEXISTENT"),  # RFC 5530 §3 for all of these
    (MailboxExists, b"ALREADYEXISTS"),
    (TooManyMailboxes, b"LIMIT"),
    (NoRoomForMailbox, b"OVERQUOTA"),
    (OverQuota, b"OVERQUOTA"),
    (Unavailable, b"UNAVAILABLE"),
    (MissingObject, b"SERVERBUG"),
)


class Session:
    """Carries out the commands of one client.

    Attributes:
        client: Its state.
    """

    __slots__ = ("_bad", "_handlers", "_idle_tag", "_wire", "client")

    def __init__(self, client: Client, handlers: Handlers) -> None:
        self.client = client
        self._wire = client.wire
        self._handlers = handlers
        self._idle_tag = b""
        self._bad = 0

    @property
    def is_idling(self) -> bool:
        """IDLE waits for DONE."""
        return bool(self._idle_tag)

    def greet(self) -> None:
        """Say hello (RFC 3501 §7.1.1)."""
        self._wire.write(responses.status(b"*", b"OK", "Posthouse ready",
                                         b"CAPABILITY " + self.client.capabilities))  # fmt: skip

    async def answer(self, event: Frame | TooLarge) -> None:
        """Carry out one command and answer it; raise `Farewell` if the session must end."""
        tagged = self._read(event)
        if tagged is None:
            return self._count_bad()
        try:
            word, done = b"OK", await self._run(tagged)
        except (ConnectionLost, Farewell, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the one place that answers for all of them
            word, done = _answer_to(error, tagged.name)
        _commands.labels(tagged.name, word.decode()).inc()
        if done.text:
            self._wire.write(responses.status(tagged.tag, word, done.text, done.code))
        if done.then is not None:
            done.then()
        if self.client.state is State.LOGOUT:
            raise Farewell("")
        if isinstance(tagged.command, StartTls) and word == b"OK":
            await self._wire.start_tls()
        return None

    def _read(self, event: Frame | TooLarge) -> Tagged | None:
        """Return the command; None if it is none, and then it is answered."""
        if isinstance(event, TooLarge):
            code = b"TOOBIG" if self.client.account else b""  # RFC 7888 §4
            self._wire.write(responses.status(event.tag, b"NO", "Literal too large", code))
            return None
        try:
            return parse(event.octets, event.aside, is_utf8=self.client.is_utf8)
        except BadCommand as error:
            self._wire.write(responses.status(error.tag, b"BAD", str(error)))
            return None

    async def _run(self, tagged: Tagged) -> Done:
        """Carry out a command; the answer is without text if there is none yet."""
        command: Command = tagged.command
        self._demand_allowed(tagged.name)
        self.client.tag = tagged.tag
        selected = self.client.selected
        if selected is not None and tagged.name not in LEAVING:
            if not selected.position.is_here:
                await self.client.house.views.recall(selected.position)
            if selected.owner is not None and tagged.name in OF_MESSAGES:
                await self._demand_reading()
        done = await self._carry_out(tagged)
        if isinstance(command, Idle):
            self._idle_tag = tagged.tag
            self._watch()
            await self.refresh_idle()
            return Done("")
        if self.client.selected is not None and may_have_news(self.client):
            await self._tell_behind(tagged)
        if self.client.noticing is not None:
            self._watch()
        return done

    async def _carry_out(self, tagged: Tagged) -> Done:
        handler = self._handlers[type(tagged.command)]
        is_long, is_changing = tagged.name in LONG, tagged.name in CHANGING
        if not (is_long or is_changing):
            return await handler(self.client, tagged.command)
        with (
            reported(self.client) if is_long else nullcontext(),
            committing() if is_changing else nullcontext(),
        ):
            return await handler(self.client, tagged.command)

    def _demand_allowed(self, name: str) -> None:
        if name not in ALLOWED[self.client.state]:
            self._count_bad()
            raise Misuse(f"{name} is not allowed when {self.client.state.value}")
        self._bad = 0
        if self.client.is_uidonly and name in NUMBERED:
            raise Misuse("Only UIDs are in use", b"UIDREQUIRED")  # RFC 9586 §3.2

    async def _tell_behind(self, tagged: Tagged) -> None:
        """Tell what is new when a command was carried out."""
        if tagged.name in OF_MESSAGES or await self._may_read():
            await self._tell(
                allow_expunge=tagged.name not in COUNTING and not _counts(tagged.command),
                with_uid=tagged.name.startswith("UID "),
                is_answer=tagged.name in EXPUNGING,
            )

    async def _demand_reading(self) -> None:
        """A guest must still have the right to read (RFC 4314 §4); raise `Refusal` or `Farewell`."""
        try:
            await places.demand_now(self.client, "r")
        except NoSuchMailbox as error:
            raise Farewell("The selected mailbox was deleted") from error

    async def _may_read(self) -> bool:
        """Say whether news of the mailbox may be told: to a guest, while it may read there."""
        try:
            await places.demand_now(self.client, "r")
        except Refusal:
            return False
        except (NoSuchMailbox, Unavailable):
            return True  # to be told that it is gone; an outage undoes nothing that was done
        return True

    async def _tell(
        self, *, allow_expunge: bool, with_uid: bool = False, is_answer: bool = False
    ) -> None:
        news = await tell(
            self.client, allow_expunge=allow_expunge, with_uid=with_uid, is_answer=is_answer
        )
        if self.client.noticing is not None:
            await tell_new(self.client, self.client.noticing, news)

    def end_idle(self, line: bytes) -> None:
        """The client ends IDLE, by DONE (RFC 2177 §3)."""
        tag, self._idle_tag = self._idle_tag, b""
        if self.client.selected is not None and self.client.noticing is None:
            self.client.house.views.unwatch(self.client.selected.position.view, self._wire)
        if line.upper() == b"DONE":
            self._wire.write(responses.status(tag, b"OK", "IDLE ended"))
        else:
            self._wire.write(responses.status(tag, b"BAD", "Expected DONE"))

    async def refresh_idle(self) -> None:
        """Tell who idles, or wants notices (RFC 5465), what is new; after an outage, later."""
        selected, noticing = self.client.selected, self.client.noticing
        if not self.is_idling and noticing is None:
            return
        try:
            if noticing is not None:
                await tell_elsewhere(self.client, noticing)
            if selected is not None:
                await self.client.house.views.recall(selected.position)
            may_read = selected is not None and await self._may_read()
        except Unavailable as error:
            log.warning("news not told", reason=str(error))
            asyncio.get_running_loop().call_later(AGAIN.total_seconds(), self._wire.wake)
        else:
            if may_read:
                allow = self.is_idling or noticing is None or not noticing.is_delayed
                await self._tell(allow_expunge=allow)

    def _watch(self) -> None:
        if self.client.selected is not None:
            self.client.house.views.watch(self.client.selected.position.view, self._wire)

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad > MAX_BAD_COMMANDS:
            raise Farewell("Too many bad commands")


def _counts(command: Command) -> bool:
    """A search by UID that names messages by their numbers as well (RFC 7162 §3.2.10.2)."""
    return isinstance(command, Search | Sort | Thread) and names_numbers(command.program.key)


def _answer_to(error: Exception, name: str) -> tuple[bytes, Done]:
    """Return the word and the rest that a failed command is answered with."""
    match error:
        case BadSyntax():
            return b"BAD", Done(str(error))
        case Misuse(code=code):
            return b"BAD", Done(str(error), code)
        case Refusal(text=text, code=code):
            return b"NO", Done(text, code)
        case MailFailure():
            _tell(error, name)
            return b"NO", Done(error.public, code_of(error))
        case _:
            pass
    log.error("command broke", command=name, exc_info=error)
    return b"NO", Done("Internal error", b"SERVERBUG")


def _tell(failure: MailFailure, name: str) -> None:
    """Log a failure, but for a missing object, which was told where it was missed."""
    if isinstance(failure, Unavailable):
        log.warning("command not possible", command=name, reason=str(failure))
    elif not isinstance(failure, MissingObject):
        log.info("command failed", command=name, reason=str(failure))


def code_of(failure: MailFailure) -> bytes:
    """Return the response code of a failure (RFC 5530 §3), empty if it has none."""
    return next((code for kind, code in _CODES if isinstance(failure, kind)), b"")
