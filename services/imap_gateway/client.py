"""Who is at the other end, and what is open: the state that handlers read and change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from imap_gateway.capabilities import ENABLES, capabilities
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.house import House
from imap_gateway.memory.guests import Guest
from imap_gateway.noticing import Noticing
from imap_gateway.protocol import responses
from imap_gateway.state import State
from imap_gateway.view.flags import NO_KEYWORDS
from imap_gateway.view.position import News, Position
from posthouse.credentials.exchange import Channel
from posthouse.mail.encryption import Tls
from posthouse.runtime.spool import SpoolFile
from posthouse.storage.sharing import Identity, Owner


class Wire(Protocol):
    """What a session needs of its connection."""

    @property
    def peer(self) -> str:
        """The client's IP address."""

    @property
    def tls(self) -> Tls | None:
        """What the handshake agreed on, None in plain text."""

    @property
    def can_start_tls(self) -> bool:
        """There is a certificate, and TLS is not on."""

    @property
    def put_aside(self) -> SpoolFile | None:
        """What was put aside of the command at work, one literal behind the other."""

    def write(self, octets: bytes) -> None:
        """Send, without waiting."""

    def write_now(self, octets: bytes) -> None:
        """Send what the client is to read at once, whatever else is at work."""

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent; raise `ConnectionLost`."""

    async def line(self) -> bytes:
        """Return the client's next line; raise `ConnectionLost`."""

    async def start_tls(self) -> None:
        """Go over to TLS; raise `Farewell` if octets came too early, `ConnectionLost`."""

    def trust(self, *, on: bool) -> None:
        """Somebody has logged in: larger literals may come; or out."""

    @property
    def is_compressed(self) -> bool:
        """COMPRESS is on."""

    def compress(self, *, on: bool) -> None:
        """Begin or end to compress, both ways, behind what was written."""

    @property
    def is_idle(self) -> bool:
        """No command is at work."""

    def wake(self) -> None:
        """See to it that `Session.refresh_idle` is called."""


@dataclass(frozen=True, slots=True)
class Done:
    """The command was carried out: tagged OK with a text for people and a response code.

    Attributes:
        text: For people.
        code: Without brackets, or empty.
        then: What is to be done at once behind the tagged OK.
    """

    text: str
    code: bytes = b""
    then: Callable[[], None] | None = None


# Shared by thousands who idle: they are only ever replaced.
NOTHING_ENABLED: Final[frozenset[bytes]] = frozenset()
NO_CONTEXTS: Final[Mapping[bytes, Context]] = MappingProxyType({})


class Context(Protocol):
    """A search whose client is told what changes in its results (RFC 5267 §4.3)."""

    async def tell_gone(self, client: Client, news: News) -> None:
        """Write what leaves the results with expunged messages, before these are told."""

    async def tell_changed(self, client: Client) -> None:
        """Write what else changes, after everything was told."""

    @property
    def many(self) -> int:
        """How many results there are."""


@dataclass(slots=True, kw_only=True)
class Selected:
    """The selected mailbox.

    Attributes:
        name: As it was selected.
        position: What the client was told of it.
        is_read_only: By EXAMINE, or because nothing may be changed (RFC 4314 §5.2).
        rights: What may be done with it (RFC 4314 §2.1).
        owner: Whose it is, None for one's own.
        uses: Its special uses (RFC 6154 §2).
        contexts: Searches whose client is told of changes, by their tags.
    """

    name: str
    position: Position
    is_read_only: bool
    rights: frozenset[str]
    owner: Owner | None = None
    uses: tuple[str, ...] = ()
    contexts: Mapping[bytes, Context] = field(default_factory=lambda: NO_CONTEXTS)

    @property
    def claims_recent(self) -> bool:
        r"""What is ``\Recent`` here is not so to others: EXAMINE and guests leave it (RFC 3501 §6.3.2)."""
        # Shared mailboxes are nobody's own: there it goes to whoever comes first.
        return not self.is_read_only and (self.owner is None or self.owner.is_shared)


class Client:
    """One session's state.

    Attributes:
        house: What is shared.
        wire: The connection.
        state: RFC 3501 §3.
        account: Who has logged in; 0 before.
        user: Its address; empty before.
        guest: As whom its session is counted; None before.
        noticing: What NOTIFY has set (RFC 5465); None before.
        enabled: What ENABLE turned on, or a command that implies it (RFC 5161), upper case.
        selected: The selected mailbox.
        identity: For whom ACLs may have entries, and when that was read; None while not needed.
        keywords: Of the account whose mailbox is selected; else of its own, as far as they were
            needed.
        failures: Logins that failed.
        tag: Of the command at work.
        progress: How much of it is done, of how much; None if that is not known.
        is_amid_line: A response was written in part: nothing may come before the rest of it.
    """

    __slots__ = ("account", "enabled", "failures", "guest", "house", "identity", "is_amid_line", "keywords", "noticing",
                 "progress", "selected", "state", "tag", "user", "wire")  # fmt: skip

    def __init__(self, house: House, wire: Wire) -> None:
        self.house = house
        self.wire = wire
        self.failures = 0
        self.tag = b""
        self.progress: tuple[int, int] | None = None
        self.is_amid_line = False
        self.selected: Selected | None = None
        self.guest: Guest | None = None
        self._begin()

    def _begin(self) -> None:
        """Nobody has logged in: all that belongs to somebody begins here (RFC 8437 §4.1)."""
        self.state = State.NOT_AUTHENTICATED
        self.account = 0
        self.user = ""
        self.enabled = NOTHING_ENABLED
        self.noticing: Noticing | None = None
        self.identity: tuple[Identity, float] | None = None
        self.keywords = NO_KEYWORDS

    @property
    def capabilities(self) -> bytes:
        """What is true now."""
        most = self.house.limits.message_octets
        if self.state is not State.NOT_AUTHENTICATED:
            return capabilities(self.state, append_octets=most)
        authenticator, channel = self.house.authenticator, self.channel
        return capabilities(
            self.state,
            append_octets=most,
            can_start_tls=self.wire.can_start_tls,
            mechanisms=authenticator.offered(channel),
            may_login=authenticator.takes_passwords(channel),
        )

    @property
    def channel(self) -> Channel:
        """What is known of the connection."""
        wire = self.wire
        trusted = self.house.is_plaintext_allowed
        return Channel(service="imap", client=wire.peer, tls=wire.tls, is_trusted=trusted)

    @property
    def is_condstore(self) -> bool:
        """The client knows of modification sequences (RFC 7162 §3.1)."""
        return b"CONDSTORE" in self.enabled

    @property
    def is_uidonly(self) -> bool:
        """Messages have no sequence numbers (RFC 9586 §3)."""
        return b"UIDONLY" in self.enabled

    @property
    def is_qresync(self) -> bool:
        """It is told VANISHED, not EXPUNGE (RFC 7162 §3.2.3)."""
        return b"QRESYNC" in self.enabled

    def enable(self, *words: bytes) -> list[bytes]:
        """Turn on those of ``words`` that can be, with what they imply; return which are new."""
        known, was_condstore = [word for word in words if word in ENABLES], self.is_condstore
        new = dict.fromkeys(word for word in known if word not in self.enabled)
        self.enabled = self.enabled.union(known, *(ENABLES[word] for word in known))
        if self.is_condstore and not was_condstore and self.selected is not None:
            self.wire.write(responses.told_up_to(self.selected.position.step))  # RFC 7162 §3.1
        return list(new)

    @property
    def owner(self) -> int:
        """Whose the selected mailbox is; without one, who has logged in."""
        return self.account if self.selected is None else self.selected.position.view.account

    @property
    def is_rev2(self) -> bool:
        """It speaks IMAP4rev2 (RFC 9051); see docs/imap4rev2.md."""
        return b"IMAP4REV2" in self.enabled

    @property
    def is_utf8(self) -> bool:
        """Names are UTF-8, both ways (RFC 6855 §3, RFC 9051 §5.1)."""
        return b"UTF8=ACCEPT" in self.enabled or self.is_rev2

    def shown(self, name: str) -> bytes:
        """Return the name of a mailbox as this client reads it."""
        return responses.mailbox(name, is_utf8=self.is_utf8)

    def mailbox(self) -> Selected:
        """Return the selected mailbox; the table of states has seen to it that there is one."""
        if self.selected is None:
            raise Misuse("No mailbox is selected")
        return self.selected

    def writable(self) -> Selected:
        """Return the selected mailbox; raise `Refusal` if it was opened by EXAMINE."""
        selected = self.mailbox()
        if selected.is_read_only:
            raise Refusal("Mailbox is read-only")
        return selected

    def deselect(self) -> None:
        """No mailbox is selected any more."""
        if self.selected is None:
            return
        position = self.selected.position
        self.house.views.unwatch(position.view, self.wire)
        self.house.views.release(position)
        if position.view.account != self.account:
            self.keywords = NO_KEYWORDS  # its own are read when they are needed
        self.selected = None
        self.state = State.AUTHENTICATED

    def end(self) -> None:
        """The connection is gone: let go of everything."""
        self.leave()
        self.state = State.LOGOUT

    def notice(self, noticing: Noticing | None) -> None:
        """Tell what ``noticing`` names without being asked, and nothing else (RFC 5465 §3.1)."""
        if self.noticing is not None:
            self.house.updates.unlisten(self.noticing)
        self.noticing = noticing
        if noticing is not None and noticing.looks_elsewhere:
            self.house.updates.listen(noticing, noticing.accounts)

    def leave(self) -> None:
        """Who has logged in goes; nothing of the session is left."""
        self.notice(None)
        self.deselect()
        self._begin()
        if self.guest is not None:
            self.house.guests.leave(self.guest)
            self.guest = None


Handler: TypeAlias = Callable[[Client, Any], Awaitable[Done]]
Handlers: TypeAlias = Mapping[type[Any], Handler]
