"""Messages that were imported, and were deleted at the other server since."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from posthouse.mail.envelope import MailboxChanged
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.merging import expunge_gone
from postmaster.api.fields import AddressKey, Body
from postmaster.api.mailboxes import MAX_MERGED, Name, Uid, account_of
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

router = APIRouter(tags=["mailboxes"])


class LeftThere(Body):
    """What the other server still has of a range of UIDs.

    Attributes:
        address: Whose.
        mailbox: In which mailbox, as it is called here.
        uidvalidity: That mailbox's.
        first: The first UID of the range, there.
        last: The last one.
        uids: Those that are there.
    """

    address: AddressKey
    mailbox: Name
    uidvalidity: Uid
    first: Uid
    last: Uid
    uids: Annotated[tuple[Uid, ...], Field(max_length=MAX_MERGED)]


class Departed(TypedDict):
    """How many messages were expunged here."""

    expunged: int


@router.put("/imports/expunged")
async def import_expunged(left: LeftThere, means: Means) -> Departed:
    """Expunge what was imported from a range of UIDs and is not there any more; 404 without mailbox.

    What came here otherwise stays, and so does what people have moved to another mailbox here.
    """
    account = await account_of(means.pool, left.address)
    where = account, left.mailbox, left.uidvalidity
    try:
        done = await expunge_gone(means.pool, where, (left.first, left.last), left.uids)
    except NoSuchMailbox as missing:
        raise not_found("mailbox", left.mailbox) from missing
    if done.count:
        change = MailboxChanged(account=account, mailbox=done.mailbox, modseq=done.modseq)
        await means.publisher.notify([change])
    return Departed(expunged=done.count)
