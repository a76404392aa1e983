"""Mailboxes read from a running server, by IMAP (RFC 3501) and POP3 (RFC 1939): nothing is changed there.

    NAMESPACE ─▶ LIST ─▶ of each: EXAMINE, GETACL, UID FETCH 1:* (FLAGS INTERNALDATE) ─▶ bodies, one by one

What is kept there as mbox, dbox, or by a server without files that anybody could read comes this way.
"""

from __future__ import annotations

import imaplib
import poplib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from postmaster.cli.failure import Failure
from postmaster.cli.old_mailboxes import OldMailbox, from_utf7, identifier_here

_Listed: TypeAlias = tuple[bytes, bytes, bytes]  # attributes, separator, name

TIMEOUT_SECONDS = 120.0
_LISTED = re.compile(rb'\(([^)]*)\) (?:"\\?(.)"|NIL) (.*)', re.DOTALL)
_PREFIX = re.compile(rb'\("((?:[^"\\]|\\.)*)" (?:"\\?(.)"|NIL)')
_UID = re.compile(rb"UID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)')
_NO_MAILBOX = {rb"\noselect", rb"\nonexistent"}
_USES = frozenset({r"\all", r"\archive", r"\drafts", r"\flagged", r"\junk", r"\sent", r"\trash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """As whom to come in at the old server."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Door:
    """Where to come in; in plain text within this machine only."""

    host: str
    port: int
    has_tls: bool

    @property
    def needs_tls(self) -> bool:
        """False on this machine."""
        return self.host not in ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMessage:
    """One message that lies there still.

    Attributes:
        server: Where.
        raw_name: Of its mailbox, as it goes on the wire.
        uid: Its UID.
        flags: System flags and keywords.
        date: INTERNALDATE.
        uidl: Its unique id by POP3; empty if that is not known.
        is_listed: It has a UID.
    """

    server: Server
    raw_name: bytes
    uid: int
    flags: tuple[str, ...]
    date: datetime
    uidl: str = ""
    is_listed: bool = True

    def octets(self) -> bytes:
        """Fetch the message; it stays unread there."""
        return self.server.fetch(self.raw_name, self.uid)


class Server:
    """A session with the old server, as somebody; use it as a context manager."""

    def __init__(self, login: Login, url: str, *, owner: str, uidls: Sequence[str] = ()) -> None:
        """Come in; raise `Failure`.

        Args:
            login: As whom.
            url: Where: ``imaps://host:port``, or ``imap://`` for STARTTLS.
            owner: Their address here.
            uidls: The unique ids of the INBOX, in the order of the messages.
        """
        self._user, self._owner, self._uidls = login.user, owner, uidls
        self._selected = b""
        try:
            self._imap = _imap(_door(url, "imap", 143, 993))
            self._imap.login(login.user, login.password)
        except (OSError, imaplib.IMAP4.error) as failure:
            raise Failure(f"{url} does not let {login.user} in: {failure}") from failure
        # After the login: before it, most servers tell only a few.
        *_, told = self._answer(self._imap.capability)
        self._can = frozenset(told.upper().split())
        self._prefix, self._others = self._namespaces()
        self._pattern = '"*" RETURN (SPECIAL-USE)' if b"SPECIAL-USE" in self._can else '"*"'

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._imap.shutdown()

    def mailboxes(self) -> Iterator[OldMailbox]:
        """Yield all mailboxes of the person, INBOX first; raise `Failure`."""
        listed = [
            each
            for each in self._listed(self._imap.list, self._pattern)
            if not _NO_MAILBOX & set(each[0].lower().split())
        ]
        for attributes, separator, raw in sorted(listed, key=lambda each: each[2]):
            uses = [word.decode() for word in attributes.split() if word.decode().lower() in _USES]
            yield self._mailbox(raw, self._name(raw, separator), uses)

    def subscriptions(self) -> list[str]:
        """Return the names of what the person is subscribed to."""
        return [self._name(raw, separator) for _, separator, raw in self._listed(self._imap.lsub)]

    def fetch(self, raw: bytes, uid: int) -> bytes:
        """Return the octets of a message; none if it has gone meanwhile."""
        if raw != self._selected:
            self._examine(raw)
        for part in self._answer(self._imap.uid, "FETCH", str(uid), "(BODY.PEEK[])"):
            if isinstance(part, tuple):
                octets: bytes = part[1]
                return octets
        return b""

    def _mailbox(self, raw: bytes, name: str, uses: Sequence[str]) -> OldMailbox:
        count, validity, uidnext = self._examine(raw)
        asked = "FETCH", "1:*", "(FLAGS INTERNALDATE)"
        rows = self._answer(self._imap.uid, *asked) if count else []
        found = sorted(filter(None, map(_flagged, rows)))
        uidls: Sequence[str] = [""] * len(found)
        if name == "INBOX" and self._uidls:
            if len(self._uidls) != len(found):
                raise Failure("IMAP and POP3 do not show the same messages there: try again.")
            uidls = self._uidls
        return OldMailbox(
            name=name,
            uidvalidity=validity,
            uidnext=max([uidnext, *(uid + 1 for uid, _, _ in found)]),
            messages=tuple(
                ServerMessage(server=self, raw_name=raw, uid=uid, flags=flags, date=date, uidl=uidl)
                for (uid, flags, date), uidl in zip(found, uidls, strict=True)
            ),
            is_whole=len(found) >= count,
            uses=tuple(uses),
            acl=self._acl(raw),
        )

    def _examine(self, raw: bytes) -> tuple[int, int, int]:
        """Open a mailbox for reading; return its number of messages, UIDVALIDITY, UIDNEXT."""
        [count, *_] = self._answer(self._imap.select, _quoted(raw), True)  # noqa: FBT003 - read only
        self._selected = raw
        told = [self._imap.response(code)[1] or [None] for code in ("UIDVALIDITY", "UIDNEXT")]
        validity, uidnext = (int(values[-1] or 1) for values in told)
        return int(count or 0), validity, uidnext

    def _acl(self, raw: bytes) -> dict[str, str]:
        if b"ACL" not in self._can:
            return {}
        acl: dict[str, str] = {}
        for line in self._answer(self._imap.getacl, _quoted(raw)):
            words = [(a or b).decode("utf-8", "replace") for a, b in _WORD.findall(line or b"")][1:]
            for name, rights in zip(words[::2], words[1::2], strict=False):
                who = identifier_here(name, self._owner)
                if who and name != self._user:
                    acl[who] = rights
        return acl

    def _listed(self, ask: Callable[..., Any], pattern: str = '"*"') -> list[_Listed]:
        """Return attributes, separator and name of each mailbox in the person's own namespace."""
        found = [each for row in self._answer(ask, '""', pattern) if (each := _listed(row))]
        return [
            each
            for each in found
            if not any(each[2].startswith(other) for other in self._others if other)
        ]

    def _namespaces(self) -> tuple[bytes, list[bytes]]:
        """Return the prefix of the person's own mailboxes, and those of other people's (RFC 2342)."""
        if b"NAMESPACE" not in self._can:
            return b"", []
        [line, *_] = self._answer(self._imap.namespace)
        own, _, others = (line or b"").partition(b"))")
        mine = _PREFIX.search(own)
        return (mine[1] if mine else b""), [found[1] for found in _PREFIX.finditer(others)]

    def _name(self, raw: bytes, separator: bytes) -> str:
        bare = raw.removeprefix(self._prefix) if raw.upper() != b"INBOX" else b"INBOX"
        levels = bare.split(separator) if separator else [bare]
        return "/".join(from_utf7(level.decode("utf-8", "replace")) for level in levels)

    def _answer(self, ask: Callable[..., Any], *arguments: object) -> list[Any]:
        """Return the untagged responses to a command; raise `Failure`."""
        try:
            status, rows = ask(*arguments)
        except (OSError, imaplib.IMAP4.error) as failure:
            raise Failure(f"The old server failed: {failure}") from failure
        if status != "OK":
            raise Failure(f"The old server refuses {arguments[:1]}: {rows}")
        return [row for row in rows if row is not None]


def unique_ids(login: Login, url: str) -> list[str]:
    """Return the unique ids that POP3 shows, in the order of the messages; raise `Failure`."""
    try:
        pop3 = _pop3(_door(url, "pop3", 110, 995))
        try:
            pop3.user(login.user)
            pop3.pass_(login.password)
            lines = [line.split(b" ", 1) for line in pop3.uidl()[1]]
        finally:
            pop3.quit()
    except (OSError, poplib.error_proto) as failure:
        raise Failure(f"{url} tells no unique ids: {failure}") from failure
    return [uidl.decode("ascii", "replace") for _, uidl in lines]


def _door(url: str, scheme: str, plain: int, secure: int) -> _Door:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise Failure(f"{url} is no address: {fault}.") from fault
    if parts.scheme not in (scheme, f"{scheme}s") or not parts.hostname:
        raise Failure(f"{url} is not {scheme}s://host:port, nor {scheme}://host:port.")
    has_tls = parts.scheme != scheme
    return _Door(host=parts.hostname, port=port or (secure if has_tls else plain), has_tls=has_tls)


def _imap(door: _Door) -> imaplib.IMAP4:
    trust = ssl.create_default_context()
    if door.has_tls:
        return imaplib.IMAP4_SSL(door.host, door.port, ssl_context=trust, timeout=TIMEOUT_SECONDS)
    client = imaplib.IMAP4(door.host, door.port, timeout=TIMEOUT_SECONDS)
    if door.needs_tls:
        client.starttls(trust)
    return client


def _pop3(door: _Door) -> poplib.POP3:
    trust = ssl.create_default_context()
    if door.has_tls:
        return poplib.POP3_SSL(door.host, door.port, context=trust, timeout=TIMEOUT_SECONDS)
    client = poplib.POP3(door.host, door.port, timeout=TIMEOUT_SECONDS)
    if door.needs_tls:
        client.stls(trust)
    return client


def _quoted(name: bytes) -> bytes:
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _listed(row: bytes | tuple[bytes, bytes]) -> _Listed | None:
    """Return attributes, separator, name of a line of LIST; a name may come as a literal."""
    line, literal = row if isinstance(row, tuple) else (row, None)
    found = _LISTED.match(line)
    if found is None:
        return None
    name = found[3]
    if literal is not None:
        name = literal
    elif name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    return found[1], found[2] or b"", name


def _flagged(row: bytes | tuple[bytes, bytes]) -> tuple[int, tuple[str, ...], datetime] | None:
    """Return UID, flags and date of a line of FETCH."""
    line = row[0] if isinstance(row, tuple) else row
    uid, flags = _UID.search(line), _FLAGS.search(line)
    if uid is None or flags is None:
        return None
    there = imaplib.Internaldate2tuple(line)
    date = datetime.fromtimestamp(time.mktime(there), UTC) if there else datetime.now(UTC)
    names = (word.decode("utf-8", "replace") for word in flags[1].split())
    return int(uid[1]), tuple(name for name in names if name.lower() != r"\recent"), date
