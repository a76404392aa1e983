"""Mailboxes that move here from another server: octets, dates, flags, UIDs and POP3's unique ids."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from typing_extensions import TypedDict

from posthouse.mail.envelope import MailboxChanged
from posthouse.mail.errors import PermanentFailure
from posthouse.mail.ids import new_id, object_key
from posthouse.mime import scan
from posthouse.storage import directory, importing, messages
from posthouse.storage.appending import NewMessage
from posthouse.storage.importing import LAST_UID, Import
from posthouse.storage.mailboxes import MAX_MAILBOXES, MAX_NAME_OCTETS, NoSuchMailbox
from posthouse.storage.merging import OldFlags, merge_flags
from posthouse.storage.pool import Pool
from postmaster.api.bodies import MEBI, read_message
from postmaster.api.fields import AddressKey, Body
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, not_found

MAX_MESSAGE_OCTETS = 128 * MEBI
MAX_FLAGS = 500  # of one message
MAX_MERGED = 1000  # messages whose flags are looked at in one request
_SYSTEM = {
    r"\seen": messages.SEEN,
    r"\answered": messages.ANSWERED,
    r"\flagged": messages.FLAGGED,
    r"\deleted": messages.DELETED,
    r"\draft": messages.DRAFT,
}

router = APIRouter(tags=["mailboxes"])

Uid = Annotated[int, Field(ge=1, le=LAST_UID)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_OCTETS)]
# RFC 1939 §7: 1 to 70 characters in the range 0x21 to 0x7E.
Uidl = Annotated[str, Field(max_length=70, pattern=r"^[!-~]*$")]
Flags = Annotated[tuple[str, ...], Field(max_length=MAX_FLAGS)]
_KEYWORD = re.compile(
    r"[!#$&\'+-\[^-z|}~]{1,100}"
)  # an atom (RFC 3501 §9), of a length that clients bear
Use = Annotated[str, Field(pattern=r"^\\(All|Archive|Drafts|Flagged|Junk|Sent|Trash)$")]


class OldMailbox(Body):
    r"""A mailbox of another server.

    Attributes:
        address: Whose.
        mailbox: What it is called there.
        uidvalidity: Its.
        uidnext: The first UID that it has not given yet.
        uses: ``\Sent`` and so on (RFC 6154 §2); here it gets those, too.
    """

    address: AddressKey
    mailbox: Name
    uidvalidity: Uid
    uidnext: Uid = 1
    uses: tuple[Use, ...] = ()


class OldMessage(Body):
    """What the other server knew of a message, but for its octets.

    Attributes:
        address: Whose.
        mailbox: In which mailbox, as it is called here.
        uidvalidity: That mailbox's.
        uid: Its UID.
        date: When it came (RFC 3501 §2.3.3); now, if that is not known.
        uidl: Its unique id by POP3; empty for one of ours.
        flags: System flags and keywords, as IMAP names them.
    """

    address: AddressKey
    mailbox: Name
    uidvalidity: Uid
    uid: Uid
    date: datetime | None = None
    uidl: Uidl = ""
    flags: Flags = ()


class FlagsNow(Body):
    """The flags that a message has at the other server now."""

    uid: Uid
    flags: Flags


class OldFlagsOfMailbox(Body):
    """The flags of messages of one mailbox that were imported before."""

    address: AddressKey
    mailbox: Name
    uidvalidity: Uid
    messages: Annotated[tuple[FlagsNow, ...], Field(max_length=MAX_MERGED)]


class OldSubscriptions(Body):
    """The names that somebody was subscribed to at another server."""

    address: AddressKey
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_MAILBOXES)]


class Adopted(TypedDict):
    """How far an import has come.

    Attributes:
        mailbox: What the mailbox is called here: the old name, if IMAP can say it.
        imported_uid: The last UID of the other server that was imported; 0 if none was.
    """

    mailbox: str
    imported_uid: int


class ImportedMessage(TypedDict):
    """What became of a message.

    Attributes:
        uid: Its UID here; null if it was imported before.
        left_out: Keywords that cannot be here: no atoms, or too many for one account.
    """

    uid: int | None
    left_out: list[str]


class MergedFlags(TypedDict):
    """What became of flags.

    Attributes:
        changed: How many messages had changed at the other server.
        left_out: As above.
    """

    changed: int
    left_out: list[str]


@router.post("/imports/mailboxes")
async def begin_import(old: OldMailbox, means: Means) -> Adopted:
    """Make a mailbox the successor of one elsewhere; 409 if it has had messages of its own.

    May be asked again: before an import goes on, and after it with the ``uidnext`` of the end.
    """
    account = await account_of(means.pool, old.address)
    where = account, importing.name_here(old.mailbox), old.uidvalidity
    try:
        imported = await importing.adopt(means.pool, where, old.uses)
    except PermanentFailure as failure:
        raise Problem(HTTPStatus.CONFLICT, f"{failure.public}.") from failure
    await importing.reach(means.pool, *where, old.uidnext)
    return Adopted(mailbox=where[1], imported_uid=imported)


@router.put("/imports/subscriptions", status_code=HTTPStatus.NO_CONTENT)
async def import_subscriptions(old: OldSubscriptions, means: Means) -> None:
    """Subscribe to what somebody was subscribed to; what is subscribed here stays so."""
    account = await account_of(means.pool, old.address)
    names = {importing.name_here(name) for name in old.names}
    await importing.subscribe_all(means.pool, account, names)


@router.put("/imports/flags")
async def import_flags(old: OldFlagsOfMailbox, means: Means) -> MergedFlags:
    """Do here what was done to flags at the other server since they were imported; 404 without mailbox."""
    account = await account_of(means.pool, old.address)
    read = [(each.uid, *_sorted(each.flags)) for each in old.messages]
    known = await importing.keyword_ids(
        means.pool, account, sorted({name for _, _, names, _ in read for name in names})
    )
    now = [
        OldFlags(uid=uid, flags=bits, keywords=frozenset(known[n] for n in names if n in known))
        for uid, bits, names, _ in read
    ]
    try:
        done = await merge_flags(means.pool, (account, old.mailbox, old.uidvalidity), now)
    except NoSuchMailbox as missing:
        raise not_found("mailbox", old.mailbox) from missing
    change = MailboxChanged(account=account, mailbox=done.mailbox, modseq=done.modseq)
    if done.count:
        await means.publisher.notify([change])
    bad = {name for _, _, names, odd in read for name in (*odd, *names) if name not in known}
    return MergedFlags(changed=done.count, left_out=sorted(bad))


@router.put("/imports/messages")
async def import_message(
    request: Request, means: Means, old: Annotated[OldMessage, Query()]
) -> ImportedMessage:
    """File the body of the request as a message with that UID; nothing happens if it was before.

    Messages come in the order of their UIDs. Where new mail has taken a UID, the next one is given.
    """
    octets = await read_message(request, MAX_MESSAGE_OCTETS)
    account = await account_of(means.pool, old.address)
    ident = new_id()
    summary, _ = await asyncio.gather(
        asyncio.to_thread(scan, octets), means.blobs.put(object_key(ident), octets)
    )
    bits, names, odd = _sorted(old.flags)
    known = await importing.keyword_ids(means.pool, account, names)
    left_out = [*odd, *(name for name in names if name not in known)]
    message = NewMessage(
        account=account,
        mailbox=old.mailbox,
        object_id=ident,
        size=len(octets),
        summary=summary,
        internaldate=old.date or datetime.now(UTC),
        flags=bits,
        keywords=tuple(set(known.values())),
    )
    asked = Import(message=message, uidvalidity=old.uidvalidity, uid=old.uid, uidl=old.uidl)
    try:
        done = await importing.import_message(means.pool, asked)
    except PermanentFailure as failure:
        raise Problem(HTTPStatus.CONFLICT, f"{failure.public}.") from failure
    if done is None:
        return ImportedMessage(uid=None, left_out=[])
    change = MailboxChanged(account=account, mailbox=done.mailbox, modseq=done.modseq)
    await means.publisher.notify([change])
    return ImportedMessage(uid=done.uid, left_out=left_out)


async def account_of(pool: Pool, address: str) -> int:
    """Return whose mailboxes ``address`` means; raise `Problem`."""
    account = await directory.account_by_address(pool, address)
    if account is None:
        raise not_found("account", address)
    return account.id


def _sorted(flags: Sequence[str]) -> tuple[int, list[str], list[str]]:
    """Return the bits of system flags, the keywords, and what can be no keyword."""
    bits, names, odd = 0, list[str](), list[str]()
    for flag in dict.fromkeys(flags):
        if flag.startswith("\\"):
            bits |= _SYSTEM.get(flag.lower(), 0)
        elif _KEYWORD.fullmatch(flag):
            names.append(flag)
        else:
            odd.append(flag)
    return bits, names, odd
