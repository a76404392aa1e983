"""APPEND into the mailboxes: clients that append at the same time share a commit.

Each message is filed or refused for itself; its object is durable before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import datetime
from typing import Any
from uuid import UUID

from posthouse.mail.envelope import Summary
from posthouse.mail.errors import PermanentFailure
from posthouse.storage.ledger.grouping import GroupCommit
from posthouse.storage.mailboxes import NoSuchMailbox
from posthouse.storage.messages import OverQuota, expunge
from posthouse.storage.pool import Pool, Queries, Row, Tx, transaction
from posthouse.storage.seen import store_seen
from posthouse.telemetry.metrics import counter

_appended = counter("posthouse_appended_total", "Messages that APPEND filed.")
_commits = counter("posthouse_append_commits_total", "Commits that carried them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message whose object is durable already.

    Attributes:
        account: Whose.
        mailbox: The name of the mailbox it goes to.
        object_id: Its object.
        size: Octets of the object.
        summary: The scan of its octets.
        internaldate: RFC 3501 §2.3.3.
        flags: Bits of the system flags.
        keywords: Ids of keywords.
        reader: The guest for whom alone it is read already; it goes by `append_together` then.
    """

    account: int
    mailbox: str
    object_id: UUID
    size: int
    summary: Summary
    internaldate: datetime
    flags: int = 0
    keywords: Sequence[int] = ()
    reader: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Where a message went (RFC 4315 §3 APPENDUID).

    Attributes:
        mailbox: The mailbox's id.
        modseq: The mailbox's modification sequence afterwards.
        uid: The message's.
        uidvalidity: The mailbox's.
    """

    mailbox: int
    modseq: int
    uid: int
    uidvalidity: int


class NoSuchMessage(PermanentFailure):
    """The message that was to be replaced is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A message that goes when another one comes."""

    account: int
    mailbox: int
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What `replace` did.

    Attributes:
        new: Where the new message went.
        modseq: The modification sequence of the old one's mailbox when it had gone.
    """

    new: Appended
    modseq: int


class Appender(GroupCommit[NewMessage, Appended | PermanentFailure]):
    """Files messages in shared commits; use it as a context manager around the sessions."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(self._file, is_wanted_by_caller=True)
        self._pool = pool

    async def append(self, message: NewMessage) -> Appended:
        """File ``message``; raise `NoSuchMailbox` or `OverQuota`, and then nothing was filed.

        Raises `Unavailable` when the commit was not confirmed: it may have happened.
        """
        done = await self.submit(message)
        if isinstance(done, PermanentFailure):
            raise done
        return done

    async def _file(self, messages: Sequence[NewMessage]) -> list[Appended | PermanentFailure]:
        done = await append_all(self._pool, messages)
        _commits.inc()
        _appended.inc(sum(isinstance(one, Appended) for one in done))
        return done


_APPEND = "select * from append_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_APPEND_ONE = "select * from append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"


async def append_all(
    queries: Queries, messages: Sequence[NewMessage]
) -> list[Appended | PermanentFailure]:
    """File ``messages`` in one commit; return what became of each: `Appended` or its refusal."""
    if len(messages) == 1:  # arrays of one cost both sides as much again
        rows = await queries.fetch(_APPEND_ONE, *_columns_of(messages[0]))
    else:
        columns = [list(column) for column in zip(*map(_columns_of, messages), strict=True)]
        columns[-1] = [f"{{{','.join(map(str, words))}}}" for words in columns[-1]]
        rows = await queries.fetch(_APPEND, *columns)
    return [_result(row) for row in rows]


def _columns_of(message: NewMessage) -> tuple[Any, ...]:
    made = message.summary
    return (
        message.account,
        message.mailbox,
        message.object_id,
        message.size,
        made.envelope,
        made.bodystructure,
        made.header,
        made.parts,
        message.internaldate,
        message.flags,
        sorted(set(message.keywords)),
    )


def _result(row: Row) -> Appended | PermanentFailure:
    if row["refusal"] == "gone":
        return NoSuchMailbox("No such mailbox")
    if row["refusal"] == "quota":
        return OverQuota("Quota exceeded")
    return Appended(
        mailbox=row["box"], modseq=row["step"], uid=row["new_uid"], uidvalidity=row["validity"]
    )


async def append_together(pool: Pool, messages: Sequence[NewMessage]) -> list[Appended]:
    """File all of ``messages``, of one mailbox, or none (RFC 3502).

    Raises `NoSuchMailbox` or `OverQuota` then, and `Unavailable` when the commit was not confirmed.
    """
    async with transaction(pool) as tx:
        done = await _append(tx, messages)
    _commits.inc()
    _appended.inc(len(done))
    return done


# Row locks in the order of the ids, as everybody takes them: of the old message's mailbox and the new's.
_LOCK = """
    select from mailboxes
     where (account_id = $1 and mailbox_id = $2) or (account_id = $3 and name = $4)
     order by account_id, mailbox_id for update
"""


async def replace(pool: Pool, old: Old, new: NewMessage) -> Replaced:
    """File ``new`` and remove ``old``, or neither (RFC 8508 §3.4): only the difference counts as quota.

    Raises as `append_together`, and `NoSuchMessage` if the old one has gone already.
    """
    async with transaction(pool) as tx:
        await tx.execute(_LOCK, old.account, old.mailbox, new.account, new.mailbox)
        gone = await expunge(tx, old.account, old.mailbox, [old.uid], deleted_only=False)
        if not gone.uids:
            raise NoSuchMessage("The message was expunged")
        [done] = await _append(tx, [new])
    _commits.inc()
    _appended.inc()
    return Replaced(new=done, modseq=gone.modseq)


async def _append(tx: Tx, messages: Sequence[NewMessage]) -> list[Appended]:
    done: list[Appended] = []
    for one in await append_all(tx, messages):
        if isinstance(one, PermanentFailure):
            raise one
        done.append(one)
    read: dict[int, list[int]] = {}
    for message, one in zip(messages, done, strict=True):
        if message.reader is not None:
            read.setdefault(message.reader, []).append(one.uid)
    for reader, uids in read.items():
        box = messages[-1].account, done[-1].mailbox
        marked = await store_seen(tx, box, reader, uids, on=True)
        done[-1] = changed(done[-1], modseq=marked.modseq)
    return done
