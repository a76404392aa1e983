"""STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imap_gateway import places
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.committing import after_commit, committing
from imap_gateway.errors import Refusal
from imap_gateway.handlers.fetching import choose
from imap_gateway.own_seen import change_own_seen
from imap_gateway.protocol import commands as c
from imap_gateway.protocol.responses import untagged
from imap_gateway.protocol.sequences import write_set
from imap_gateway.telling import LINES_AT_ONCE, fetch_head, permanent_flags, tell_flags
from imap_gateway.view.flags import ALL_BITS, SEEN, Keywords, split
from imap_gateway.view.position import Position, message_rows
from posthouse.storage.mailboxes import TooManyMailboxes
from posthouse.storage.messages import (
    MAX_KEYWORDS,
    FlagChange,
    Mode,
    Stored,
    add_keywords,
    keyword_names,
    store_flags,
)

MESSAGES_AT_ONCE = 10_000  # of a million nobody waits for all: each part is a step of its own

_MODES = {
    c.Change.ADD: Mode.ADD,
    c.Change.REMOVE: Mode.REMOVE,
    c.Change.REPLACE: Mode.REPLACE,
}


async def store(client: Client, command: c.Store) -> Done:
    """STORE and UID STORE."""
    selected = client.writable()
    position = selected.position
    if command.unchanged_since is not None:
        client.enable(b"CONDSTORE")
    indexes = await choose(position, command.numbers, is_uid=command.is_uid)
    rights = await places.demand_now(client, "")
    change = await flag_change(client, command)
    said = split(command.flags)[1] if command.change is not c.Change.REMOVE else ()
    steps = permitted(change, rights, client.keywords, is_guest=selected.owner is not None)
    modified: list[int] = []
    for start in range(0, len(indexes), MESSAGES_AT_ONCE):
        part = indexes[start : start + MESSAGES_AT_ONCE]
        with committing(is_partly_done=start > 0):
            modified += await _store_some(client, command, part, steps)
        if said and selected.owner is None:
            await _taught(client, said, part)
    return _ending(client, command, indexes, modified)


async def _taught(client: Client, words: Sequence[str], indexes: Sequence[int]) -> None:
    """Let the classifier learn from keywords that say what mail is."""
    position = client.mailbox().position
    box = (position.view.account, position.view.mailbox)
    await client.house.training.flagged(words, box, position.uids_of(indexes))


async def _store_some(
    client: Client, command: c.Store, indexes: Sequence[int], steps: Sequence[FlagChange]
) -> Sequence[int]:
    """Change the flags of these messages in one step, and answer; return who was left alone."""
    position, last = client.mailbox().position, steps[-1]
    reads = bool(last.flags & SEEN) and last.mode is not Mode.REMOVE
    unread = _unread(position, indexes) if reads else []
    done = await _carry_out(client, position.uids_of(indexes), steps)
    if unread:
        with after_commit():
            await client.house.reads.note(client.owner, unread)
    if position.view.modseq < done.modseq:  # others were quicker, and nothing was left to change
        with after_commit():
            await client.house.views.refresh(position.view)
    if position.view.modseq >= done.modseq:  # else an outage keeps the flags from us: they are news
        with after_commit(lambda: position.tell_again(indexes)):
            await _answer(client, command, indexes, done)
    return done.modified


async def flag_change(client: Client, command: c.Store) -> FlagChange:
    """Return the change with its keywords as numbers."""
    bits, words = split(command.flags)
    is_known = all(client.keywords.number(word) is not None for word in words)
    if not is_known and command.change is c.Change.REMOVE:  # another session may have made them
        client.keywords = Keywords(await keyword_names(client.house.pool, client.owner))
    elif not is_known:
        await make_keywords(client, words)
    numbers = [n for word in words if (n := client.keywords.number(word)) is not None]
    return FlagChange(
        mode=_MODES[command.change],
        flags=bits,
        keywords=sorted(set(numbers)),
        unchanged_since=command.unchanged_since,
    )


async def make_keywords(client: Client, words: Sequence[str]) -> None:
    """Give numbers to keywords that are new to the account; raise `TooManyMailboxes`."""
    missing = [word for word in words if client.keywords.number(word) is None]
    if not missing:
        return
    pool, selected = client.house.pool, client.selected
    try:
        client.keywords = Keywords(await add_keywords(pool, client.owner, missing))
    except TooManyMailboxes:
        client.keywords = Keywords(await keyword_names(pool, client.owner))
        raise
    finally:
        if selected is not None and len(client.keywords.names) >= MAX_KEYWORDS:
            client.wire.write(untagged(permanent_flags(client, selected)))


async def keyword_numbers(client: Client, account: int, words: Sequence[str]) -> list[int]:
    """Return the numbers of keywords in an account, new ones if need be."""
    if account == client.owner:
        await make_keywords(client, words)
        known = client.keywords
    else:
        known = Keywords(await add_keywords(client.house.pool, account, words) if words else {})
    return [number for word in words if (number := known.number(word)) is not None]


def permitted(
    change: FlagChange, rights: Collection[str], keywords: Keywords, *, is_guest: bool
) -> tuple[FlagChange, ...]:
    """Return what of ``change`` may be done: ``s``, ``t``, ``w`` for their flags (RFC 4314 §4).

    A replacement that may not touch all flags, as a guest's never may, takes away what may go, then
    adds. Raises `Refusal` if nothing may be done.
    """
    mask, has_words = places.flags_allowed(rights), "w" in rights
    if mask == ALL_BITS and has_words and not is_guest:
        return (change,)
    if not mask:
        raise Refusal("Permission denied", b"NOPERM")
    words = tuple(change.keywords) if has_words else ()
    kept = replace(change, flags=change.flags & mask, keywords=words)
    if change.mode is not Mode.REPLACE:
        if not kept.flags and not words:
            raise Refusal("Permission denied", b"NOPERM")
        return (kept,)
    gone = sorted(set(keywords.names) - set(words)) if has_words else []
    remove = replace(change, mode=Mode.REMOVE, flags=mask & ~change.flags, keywords=gone)
    return remove, replace(kept, mode=Mode.ADD)


async def _carry_out(client: Client, uids: Sequence[int], steps: Sequence[FlagChange]) -> Stored:
    """Change flags step by step; what the first leaves alone, the next do too."""
    first, *others = steps
    done = await _change(client, uids, first)
    left = done.modified
    for step in others:  # by now the messages are newer than what was asked for
        rest = sorted(set(uids) - set(left))
        with committing(is_partly_done=True):
            done = await _change(client, rest, replace(step, unchanged_since=None))
    return replace(done, modified=left)


async def _change(client: Client, uids: Sequence[int], change: FlagChange) -> Stored:
    r"""Change flags in one step; ``\Seen`` of a guest is another one, for it is no flag of the messages."""
    if client.mailbox().owner is None or not change.flags & SEEN:
        return await _change_messages(client, uids, change)
    done = await change_own_seen(
        client, uids, on=change.mode is Mode.ADD, unchanged_since=change.unchanged_since
    )
    others = replace(change, flags=change.flags & ~SEEN, unchanged_since=None)
    if not others.flags and not others.keywords:
        return done
    rest = sorted(set(uids) - set(done.modified))
    with committing(is_partly_done=bool(done.changed)):
        return replace(await _change_messages(client, rest, others), modified=done.modified)


async def _change_messages(client: Client, uids: Sequence[int], change: FlagChange) -> Stored:
    house, position = client.house, client.mailbox().position
    view = position.view
    with committing():
        done = await store_flags(house.pool, view.account, view.mailbox, uids, change)
    if done.changed:
        house.updates.tell(view.account, view.mailbox, done.modseq)
        with after_commit():
            await house.views.flags_changed(view, done.modseq, done.changed)
            position.tells_itself(done.modseq)
    return done


def _unread(position: Position, indexes: Sequence[int]) -> list[int]:
    """Return the contents of the messages that are not ``Seen`` yet."""
    rows, _, places = message_rows(position, indexes)
    flags = position.flags_of(rows)
    return [rows.contents[row] for row in places if not flags[row] & SEEN]


async def _answer(client: Client, command: c.Store, indexes: Sequence[int], done: Stored) -> None:
    """Tell the new flags; where silence was asked for, only the new modseq (RFC 7162 §3.1.3).

    Messages that had changed before are told as they are: the client need not ask for them.
    """
    position = client.mailbox().position
    told, failed = indexes, set(done.modified)
    if failed:
        told = [index for index in indexes if position.uid(index) not in failed]
        left = [index for index in indexes if position.uid(index) in failed]
        await tell_flags(client, left, with_uid=True)
    if not command.is_silent:
        await tell_flags(client, told, with_uid=command.is_uid)
    elif client.is_condstore:
        for start in range(0, len(told), LINES_AT_ONCE):
            part = told[start : start + LINES_AT_ONCE]
            client.wire.write(b"".join(_modseq_lines(client, part, done.modseq)))
            await client.wire.drain()


def _modseq_lines(client: Client, indexes: Sequence[int], modseq: int) -> list[bytes]:
    rows, told, places = message_rows(client.mailbox().position, indexes)
    named = b"MODSEQ (%d))\r\n" % modseq if client.is_uidonly else b"UID %d MODSEQ (%d))\r\n"
    return [
        fetch_head(client, at + 1, uid := rows.uids[row])
        + (named if client.is_uidonly else named % (uid, modseq))
        for at, row in zip(told, places, strict=True)
        if rows.modseqs[row] == modseq
    ]


def _ending(
    client: Client, command: c.Store, indexes: Sequence[int], modified: Sequence[int]
) -> Done:
    position = client.mailbox().position
    if modified:
        failed = set(modified)
        numbers = (
            modified
            if command.is_uid
            else [index + 1 for index in indexes if position.uid(index) in failed]
        )
        code = b"MODIFIED " + write_set(numbers)
        if not command.is_uid and any(position.row(index) < 0 for index in indexes):
            raise Refusal("Some messages were expunged", code)  # RFC 7162 §3.1.3, example 11
        return Done("Conditional STORE failed", code)
    if command.is_uid or position.is_current():
        return Done("STORE done")
    if any(position.row(index) < 0 for index in indexes):
        raise Refusal("Some messages were expunged", b"EXPUNGEISSUED")  # RFC 5530 §3
    return Done("STORE done")


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Store: store,
})  # fmt: skip
