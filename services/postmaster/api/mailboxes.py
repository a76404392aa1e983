"""Mailboxes that move here from another server: octets, dates, flags, UIDs and POP3's unique ids."""

from __future__ import annotations

import asyncio
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
from posthouse.storage.mailboxes import MAX_NAME_OCTETS
from posthouse.storage.pool import Pool
from postmaster.api.fields import AddressKey, Body
from postmaster.api.parts import Means
from postmaster.api.problems import Problem, invalid, not_found

MAX_MESSAGE_OCTETS = 134_217_728
MAX_FLAGS = 64  # of one message
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
# A keyword is an atom (RFC 3501 §9).
Flag = Annotated[
    str, Field(max_length=100, pattern=r"^\\?[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+$")
]


class OldMailbox(Body):
    """A mailbox of another server; ``uidnext`` is the first UID that it has not given yet."""

    address: AddressKey
    mailbox: Name
    uidvalidity: Uid
    uidnext: Uid = 1


class OldMessage(Body):
    """What the other server knew of a message, but for its octets.

    Attributes:
        address: Whose.
        mailbox: In which mailbox.
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
    flags: Annotated[tuple[Flag, ...], Field(max_length=MAX_FLAGS)] = ()


class Adopted(TypedDict):
    """How far an import has come.

    Attributes:
        imported_uid: The last UID of the other server that was imported; 0 if none was.
    """

    imported_uid: int


class ImportedMessage(TypedDict):
    """What became of a message.

    Attributes:
        uid: Its UID here; null if it was imported before.
    """

    uid: int | None


@router.post("/imports/mailboxes")
async def begin_import(old: OldMailbox, means: Means) -> Adopted:
    """Make a mailbox the successor of one elsewhere; 409 if it has had messages of its own.

    May be asked again: before an import goes on, and after it with the ``uidnext`` of the end.
    """
    account = await _account(means.pool, old.address)
    try:
        imported = await importing.adopt(means.pool, account, old.mailbox, old.uidvalidity)
    except PermanentFailure as failure:
        raise Problem(HTTPStatus.CONFLICT, f"{failure.public}.") from failure
    await importing.reach(means.pool, account, old.mailbox, old.uidvalidity, old.uidnext)
    return Adopted(imported_uid=imported)


@router.put("/imports/messages")
async def import_message(
    request: Request, means: Means, old: Annotated[OldMessage, Query()]
) -> ImportedMessage:
    """File the body of the request as a message with that UID; nothing happens if it was before.

    Messages come in the order of their UIDs. Where new mail has taken a UID, the next one is given.
    """
    octets = await _octets(request)
    account = await _account(means.pool, old.address)
    ident = new_id()
    summary, _ = await asyncio.gather(
        asyncio.to_thread(scan, octets), means.blobs.put(object_key(ident), octets)
    )
    bits, words = await _flags(means.pool, account, old.flags)
    message = NewMessage(
        account=account,
        mailbox=old.mailbox,
        object_id=ident,
        size=len(octets),
        summary=summary,
        internaldate=old.date or datetime.now(UTC),
        flags=bits,
        keywords=words,
    )
    asked = Import(message=message, uidvalidity=old.uidvalidity, uid=old.uid, uidl=old.uidl)
    try:
        done = await importing.import_message(means.pool, asked)
    except PermanentFailure as failure:
        raise Problem(HTTPStatus.CONFLICT, f"{failure.public}.") from failure
    if done is None:
        return ImportedMessage(uid=None)
    change = MailboxChanged(account=account, mailbox=done.mailbox, modseq=done.modseq)
    await means.publisher.notify([change])
    return ImportedMessage(uid=done.uid)


async def _octets(request: Request) -> bytes:
    octets = bytearray()
    async for piece in request.stream():
        octets += piece
        if len(octets) > MAX_MESSAGE_OCTETS:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The message has more than 128 MiB.")
    if not octets:
        raise invalid("The message is empty.")
    return bytes(octets)


async def _account(pool: Pool, address: str) -> int:
    account = await directory.account_by_address(pool, address)
    if account is None:
        raise not_found("account", address)
    return account.id


async def _flags(pool: Pool, account: int, flags: Sequence[str]) -> tuple[int, list[int]]:
    """Return the bits of system flags and the ids of keywords, made where they are new."""
    bits, names = 0, []
    for flag in dict.fromkeys(flags):
        if flag.startswith("\\"):
            bits |= _SYSTEM.get(flag.lower(), 0)
        else:
            names.append(flag)
    if not names:
        return bits, []
    known = await messages.keyword_names(pool, account)
    if not set(names) <= known.keys():
        known = await messages.add_keywords(pool, account, names)
    return bits, [known[name] for name in names]
