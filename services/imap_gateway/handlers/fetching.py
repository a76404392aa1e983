"""FETCH (RFC 3501 §6.4.5, RFC 7162 §3.1.4): the plan is made once, then messages go out in chunks.

Every item is a column: a piece of the line's template and the values of a chunk of messages. A
chunk is bounded in messages and in octets, and the next one waits until the client took this one. A message
larger than a chunk goes out piece by piece: nobody's memory holds it whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers, Selected
from imap_gateway.committing import after_commit
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.own_seen import change_own_seen
from imap_gateway.places import demand_now
from imap_gateway.protocol import commands as c
from imap_gateway.protocol.items import Binary, FetchItem, Item, Section
from imap_gateway.protocol.sequences import SequenceSet
from imap_gateway.reading.columns import Chunk, Reader, needs_seen, reader, template
from imap_gateway.reading.streaming import send_in_pieces
from imap_gateway.vanishing import demand_qresync, tell_vanished
from imap_gateway.view.flags import SEEN
from imap_gateway.view.position import Position, message_rows
from posthouse.mail.errors import MailFailure
from posthouse.storage.messages import FlagChange, Mode, store_flags
from posthouse.telemetry.logs import get_logger

CHUNK_MESSAGES = 1000
CHUNK_OCTETS = 512 * 1024  # of bodies
SEEN_AT_ONCE = 10_000  # messages that become seen in one step
FRESH_SECONDS = 0.05  # how old the view may be for commands on messages; notices come sooner

log = get_logger()


async def fetch(client: Client, command: c.Fetch) -> Done:
    """FETCH and UID FETCH."""
    if command.modifiers:
        _check_modifiers(client, command)
    selected = client.mailbox()
    await client.house.views.refresh(selected.position.view, max_age=FRESH_SECONDS)
    names_uid = command.is_uid and not client.is_uidonly  # there the response itself does
    is_delta = command.changed_since is not None
    plan = plan_of(command.items, names_uid, is_delta)
    if plan.tells_modseq:
        client.enable(b"CONDSTORE")
    indexes = await choose(selected.position, command.numbers, is_uid=command.is_uid)
    if (
        command.page is not None
    ):  # RFC 9394 §3.4: the page is taken before CHANGEDSINCE is looked at
        indexes = indexes[command.page.cut(len(indexes))]
    since = command.changed_since
    if command.asks_vanished:
        await tell_vanished(client, command.numbers, since or 0)
    if since is not None:
        indexes = await aside(len(indexes), _changed, selected.position, indexes, since)
    if plan.needs_seen and "s" in selected.rights and not selected.is_read_only:
        await _mark_seen(client, selected, indexes, tells_flags=Item.FLAGS in plan.items)
    missing = await _send(client, selected.position, plan, indexes)
    if missing and not command.is_uid:
        raise Refusal("Some messages were expunged", b"EXPUNGEISSUED")  # RFC 5530 §3
    return Done("FETCH done")


def _check_modifiers(client: Client, command: c.Fetch) -> None:
    """VANISHED is of UID FETCH with CHANGEDSINCE, once QRESYNC is enabled (RFC 7162 §3.2.6)."""
    if not command.asks_vanished:
        return
    if not command.is_uid or command.changed_since is None:
        raise Misuse("VANISHED goes with UID FETCH and CHANGEDSINCE only")
    demand_qresync(client)


async def choose(position: Position, numbers: SequenceSet, *, is_uid: bool) -> Sequence[int]:
    """Return `chosen`; many that are not one range are looked up in a thread."""
    if len(numbers.ranges) == 1:
        return chosen(position, numbers, is_uid=is_uid)
    many = len(position.saved) if numbers.is_saved else 0
    if numbers.ranges:
        many = numbers.at_most(position.count)
    return await aside(many, chosen, position, numbers, is_uid=is_uid)


def chosen(position: Position, numbers: SequenceSet, *, is_uid: bool) -> Sequence[int]:
    """Return the indexes of the messages that a set names; raise `BadSyntax` for wrong numbers."""
    if numbers.is_saved:
        return position.saved_indexes()
    if is_uid:
        return numbers.indexes_of_uids(position.uids)
    return numbers.indexes_of_sequence(position.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a FETCH is answered.

    Attributes:
        items: Those asked for and those answered all the same.
        line: The template of a response: its number, then the items' values.
        readers: Of these, in their order.
        bodies: How many of the items may be as large as the message.
        needs_seen: Some of them set the flag.
        tells_modseq: The client knows of modification sequences (RFC 7162 §3.1).
    """

    items: tuple[FetchItem, ...]
    line: bytes
    readers: tuple[Reader, ...]
    bodies: int
    needs_seen: bool
    tells_modseq: bool


@lru_cache(maxsize=64)  # a command line makes half a megabyte of them at most
def plan_of(asked: tuple[FetchItem, ...], is_uid: bool, is_delta: bool) -> Plan:  # noqa: FBT001 - names cost time in a cache
    """Make the plan; clients ask for the same items again and again."""
    items = list(asked)
    if is_uid and Item.UID not in items:
        items.insert(0, Item.UID)  # RFC 3501 §6.4.8
    if is_delta and Item.MODSEQ not in items:
        items.append(Item.MODSEQ)  # RFC 7162 §3.1.4.1
    return Plan(
        items=tuple(items),
        line=b"* %%d FETCH (%b)\r\n" % template(items),
        readers=tuple(map(reader, items)),
        bodies=sum(isinstance(item, Section | Binary) for item in items),
        needs_seen=any(map(needs_seen, items)),
        tells_modseq=Item.MODSEQ in items,
    )


async def send(client: Client, plan: Plan, indexes: Sequence[int]) -> None:
    """Write the responses of these messages, of those that are still there."""
    await _send(client, client.mailbox().position, plan, indexes)


async def tell_items(client: Client, items: tuple[FetchItem, ...], indexes: Sequence[int]) -> None:
    """Write what was asked for of new messages; where it cannot be had it is left out.

    The client may ask: it knows that they came.
    """
    plan = plan_of(items, not client.is_uidonly, False)  # noqa: FBT003
    try:
        await demand_now(client, "r")
        await send(client, plan, indexes)
    except (MailFailure, Refusal) as error:
        log.warning("new messages not told", reason=str(error))


async def send_changed(client: Client, plan: Plan, indexes: Sequence[int], since: int) -> None:
    """Write the responses of those of these messages that changed after the step ``since``."""
    position = client.mailbox().position
    await _send(
        client, position, plan, await aside(len(indexes), _changed, position, indexes, since)
    )


def _changed(position: Position, indexes: Sequence[int], since: int) -> list[int]:
    rows, indexes, places = message_rows(position, indexes)
    pairs = zip(indexes, places, strict=True)
    return [index for index, place in pairs if rows.modseqs[place] > since]


async def _mark_seen(
    client: Client, selected: Selected, indexes: Sequence[int], *, tells_flags: bool
) -> None:
    r"""Set ``\Seen`` before the bodies go out; the change itself is told as news."""
    view = selected.position.view
    uids, contents = await aside(len(indexes), _unseen, selected.position, indexes)
    if not uids:
        return
    house, change = client.house, FlagChange(mode=Mode.ADD, flags=SEEN)
    for start in range(0, len(uids), SEEN_AT_ONCE):
        part = uids[start : start + SEEN_AT_ONCE]
        if selected.owner is not None:
            await change_own_seen(client, part, on=True, tells_itself=tells_flags)
            continue
        done = await store_flags(house.pool, client.owner, view.mailbox, part, change)
        if done.changed:
            house.updates.tell(client.owner, view.mailbox, done.modseq)
            with after_commit():
                await house.views.flags_changed(view, done.modseq, done.changed)
                if tells_flags:
                    selected.position.tells_itself(done.modseq)
    with after_commit():
        await house.reads.note(client.owner, contents)


def _unseen(position: Position, indexes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the UIDs and contents of those of these messages that are unseen."""
    rows, _, places = message_rows(position, indexes)
    flags = position.flags_of(rows)
    unseen = [place for place in places if not flags[place] & SEEN]
    return [rows.uids[row] for row in unseen], [rows.contents[row] for row in unseen]


async def _send(client: Client, position: Position, plan: Plan, indexes: Sequence[int]) -> bool:
    """Write the responses; return whether messages were missing."""
    if len(indexes) == 1:
        return await _send_chunk(client, plan, indexes, is_alone=True)
    missing = False
    for part in _chunks(position, plan.bodies, indexes):
        await client.wire.drain()
        missing = await _send_chunk(client, plan, part, is_alone=False) or missing
    return missing


async def _send_chunk(client: Client, plan: Plan, part: Sequence[int], *, is_alone: bool) -> bool:
    """Write the responses of a chunk, in several steps where much is told; see `_send`."""
    position = client.mailbox().position
    rows, here, places = message_rows(position, part)
    is_missing = len(here) < len(part)
    next_ = position.follow(part[0]) if plan.bodies and is_alone else range(0)
    if not position.is_current():
        next_ = range(0)  # these are no places in the rows
    if len(here) == 1 and plan.bodies and rows.sizes[places[0]] > CHUNK_OCTETS:
        chunk = Chunk(client=client, rows=rows, places=places, items=plan.items, next=next_)
        await send_in_pieces(chunk, here[0] + 1, plan.items)
        return is_missing
    while here:
        chunk = Chunk(client=client, rows=rows, places=places, items=plan.items, next=next_)
        text, many = await _lines(chunk, here, plan)
        client.wire.write(text)
        if many == len(here):
            break
        del text  # nothing of it is kept here while a slow client takes it
        await client.wire.drain()
        rows, left, places = message_rows(position, here[many:])
        is_missing = is_missing or len(left) < len(here) - many
        here = left
    return is_missing


async def _lines(chunk: Chunk, indexes: Sequence[int], plan: Plan) -> tuple[bytes, int]:
    """Return the responses of the first of the messages, and how many these are."""
    columns = [await read(chunk) for read in plan.readers]
    many = min(map(len, columns))
    line, numbers = plan.line, [index + 1 for index in indexes[:many]]
    if chunk.client.is_uidonly:  # RFC 9586 §3.3
        line = line.replace(b" FETCH (", b" UIDFETCH (", 1)
        numbers = list(chunk.of(chunk.rows.uids))[:many]
    if many == 1:
        return line % (numbers[0], *[column[0] for column in columns]), 1
    width = 1 + len(columns)
    flat: list[object] = [None] * (width * many)
    flat[::width] = numbers
    for at, column in enumerate(columns, 1):
        flat[at::width] = column[:many]
    return line * many % tuple(flat), many


def _chunks(position: Position, bodies: int, indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut ``indexes`` into chunks; where bodies go out, by the sizes of the messages."""
    if not bodies:
        for start in range(0, len(indexes), CHUNK_MESSAGES):
            yield indexes[start : start + CHUNK_MESSAGES]
        return
    weight = 0
    part: list[int] = []
    for index in indexes:
        row = position.row(index)
        size = bodies * position.view.rows.sizes[row] if row >= 0 else 0
        if part and (weight + size > CHUNK_OCTETS or len(part) >= CHUNK_MESSAGES):
            yield part
            weight, part = 0, []
        part.append(index)
        weight += size
    if part:
        yield part


HANDLERS: Final[Handlers] = MappingProxyType({
    c.Fetch: fetch,
})  # fmt: skip
