"""Untagged news of the selected mailbox: EXPUNGE, EXISTS, RECENT, FETCH (RFC 3501 §7.3, §7.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from imap_gateway.aside import aside
from imap_gateway.client import Client, Selected
from imap_gateway.errors import Farewell
from imap_gateway.noticing import selected_events
from imap_gateway.own_seen import know_own_seen
from imap_gateway.places import flags_allowed
from imap_gateway.protocol.notify_grammar import Event
from imap_gateway.protocol.responses import told_up_to, untagged
from imap_gateway.view.flags import RECENT_TABLE, TABLE, Keywords
from imap_gateway.view.position import NOTHING, News, Position, message_rows
from imap_gateway.view.rows import Rows, taken
from imap_gateway.view.vanished import joined, written
from posthouse.mail.errors import Unavailable
from posthouse.storage.mailboxes import claim_recent
from posthouse.storage.messages import MAX_KEYWORDS, keyword_names
from posthouse.telemetry.logs import get_logger

LINES_AT_ONCE = 1000  # then others get their turn
RANGES_AT_ONCE = 2000  # of UIDs, in one line

log = get_logger()


def may_have_news(client: Client) -> bool:
    """Say whether `tell` may have anything to do."""
    selected = client.mailbox()
    position = selected.position
    is_quiet = client.noticing is None and not selected.contexts and not position.is_behind
    return not is_quiet or position.view.is_gone or not position.is_told()


async def tell(
    client: Client, *, allow_expunge: bool, with_uid: bool, is_answer: bool = False
) -> News:
    """Write what the client does not know yet of its mailbox; an outage withholds no number.

    Once taken, EXPUNGE and EXISTS must go out: without them every later sequence number would mean
    another message. Flags that cannot be named now are told next time. What NOTIFY does not want
    is left out, but for what answers a command. Returns what was told; raises `Farewell` if the
    mailbox was deleted.
    """
    selected = client.mailbox()
    position = selected.position
    if position.view.is_gone:
        raise Farewell("The selected mailbox was deleted")
    wanted = selected_events(client.noticing)
    if not position.is_here:  # it was just selected; the next command reads it
        return NOTHING
    if not wanted and not is_answer:
        return NOTHING
    news = await client.house.views.news(position, allow_expunge=allow_expunge)
    if Event.FLAGS not in wanted:
        news = replace(news, changed=())
    is_step_told = client.is_condstore and _tell_step(client, position)
    if news != NOTHING:
        is_noticing = client.noticing is not None  # RFC 5465 §5.1
        is_all_told = await _tell_news(client, news, with_uid=with_uid or is_noticing)
        if is_all_told and not (is_step_told or is_answer or Event.FLAGS not in wanted):
            _tell_step_of_expunged(client, news)
    for context in tuple(selected.contexts.values()):
        await context.tell_changed(client)
    return news


async def _tell_news(client: Client, news: News, *, with_uid: bool) -> bool:
    """Write the news; return whether all of it could be told."""
    selected = client.mailbox()
    position = selected.position
    for context in selected.contexts.values():
        await context.tell_gone(client, news)
    tells_uids = client.is_qresync or client.is_uidonly
    await (_tell_vanished if tells_uids else _tell_expunged)(client, news)
    if news.exists is not None:
        await _claim(client, selected, news.new_uids)
        client.wire.write(untagged(b"%d EXISTS" % news.exists))
        if not client.is_rev2:
            client.wire.write(untagged(b"%d RECENT" % position.recent_count()))
    try:
        await know_own_seen(client, position)
        await tell_flags(client, news.changed, with_uid=with_uid)
    except Unavailable as error:
        position.tell_again(news.changed)
        log.warning("flags not told", reason=str(error))
        return False
    return True


def _tell_step(client: Client, position: Position) -> bool:
    """Write the step that the client knows all of while expunges wait, and when they are told.

    Else it would take flags of later steps for a sign that it knows all before (RFC 7162 §3.2).
    Returns whether it was told.
    """
    is_behind, was_behind = not position.is_current(), position.is_behind
    position.is_behind = is_behind
    if is_behind or was_behind:
        client.wire.write(told_up_to(position.step))
    return is_behind or was_behind


def _tell_step_of_expunged(client: Client, news: News) -> None:
    """Write the step behind VANISHED, which has none itself, for who keeps it (RFC 7162 §6).

    InterIMAP looks for nothing until the step moves on.
    """
    if client.is_qresync and news.expunged:
        client.wire.write(told_up_to(client.mailbox().position.step))


async def _tell_expunged(client: Client, news: News) -> None:
    for start in range(0, len(news.expunged), LINES_AT_ONCE):
        numbers = news.expunged[start : start + LINES_AT_ONCE]
        client.wire.write(b"* %d EXPUNGE\r\n" * len(numbers) % numbers)
        await client.wire.drain()


async def _tell_vanished(client: Client, news: News) -> None:
    """RFC 7162 §3.2.10.2: the UIDs instead of the numbers."""
    ranges = await aside(len(news.vanished), joined, news.vanished[::-1])
    for start in range(0, len(ranges), RANGES_AT_ONCE):
        part = written(ranges[start : start + RANGES_AT_ONCE])
        client.wire.write(b"* VANISHED %b\r\n" % part)
        await client.wire.drain()


async def tell_flags(client: Client, indexes: Sequence[int], *, with_uid: bool) -> None:
    """Write FETCH responses with the flags of these messages, of those that are still there."""
    for start in range(0, len(indexes), LINES_AT_ONCE):
        part = indexes[start : start + LINES_AT_ONCE]
        client.wire.write(await flag_lines(client, part, with_uid=with_uid))
        await client.wire.drain()


async def flag_lines(client: Client, indexes: Sequence[int], *, with_uid: bool) -> bytes:
    """Return FETCH responses with the flags of these messages, of those that are still there."""
    rows, indexes, places = message_rows(client.mailbox().position, indexes)
    uids = taken(rows.uids, places)
    texts = await flag_texts(client, rows, places, uids)
    is_uidonly = client.is_uidonly
    columns: list[Sequence[object]] = [uids if is_uidonly else [at + 1 for at in indexes], texts]
    line = b"* %d UIDFETCH (FLAGS (%b)" if is_uidonly else b"* %d FETCH (FLAGS (%b)"
    has_uid = with_uid or client.is_condstore or client.is_rev2  # RFC 7162 §3.2.4, RFC 9051 §7.5.2
    if has_uid and not is_uidonly:
        columns.append(uids)
        line += b" UID %d"
    if client.is_condstore:
        columns.append(taken(rows.modseqs, places))
        line += b" MODSEQ (%d)"
    return (line + b")\r\n") * len(texts) % tuple(chain.from_iterable(zip(*columns, strict=True)))


async def flag_texts(
    client: Client, rows: Rows, places: Sequence[int], uids: Sequence[int]
) -> list[bytes]:
    """Return the flags of messages as they go between the parentheses; ``uids`` ascend.

    They are those of the moment of the return: what is read right after it belongs to them.
    """
    position = client.mailbox().position
    if rows.keywords:
        used = {number for place in places for number in rows.keywords[place]}
        await know_keywords(client, tuple(used))
    flags = taken(position.flags_of(rows), places)
    if rows.keywords:
        words = [rows.keywords[place] for place in places]
        return [
            client.keywords.text(bits, numbers, is_recent=position.is_recent(uid))
            for bits, uid, numbers in zip(flags, uids, words, strict=True)
        ]
    texts = [TABLE[bits] for bits in flags]
    for first, last in position.recent:
        here = slice(bisect_left(uids, first), bisect_left(uids, last))
        texts[here] = [RECENT_TABLE[bits] for bits in flags[here]]
    return texts


def fetch_head(client: Client, number: int, uid: int) -> bytes:
    """Return how the response about a message begins, up to the parenthesis (RFC 9586 §3.3)."""
    return b"* %d UIDFETCH (" % uid if client.is_uidonly else b"* %d FETCH (" % number


def shown_keywords(client: Client, selected: Selected) -> list[bytes]:
    """Return the keywords that SELECT names: all that owners have, to a guest those of this mailbox."""
    known = client.keywords
    if selected.owner is None:
        return [name.encode() for name in known.all_names()]
    used = sorted(selected.position.view.rows.keywords.used())
    return [known.names[number].encode() for number in used if number in known.names]


def permanent_flags(client: Client, selected: Selected) -> bytes:
    r"""Return the text that tells which flags this client can change for ever (RFC 4314 §5.1.1).

    Without ``\*`` once there are as many keywords as there may be (RFC 9051 §7.1 PERMANENTFLAGS).
    """
    named: list[bytes] = []
    if not selected.is_read_only:
        named.append(TABLE[flags_allowed(selected.rights)])
        if "w" in selected.rights:
            named += shown_keywords(client, selected)
            named += [b"\\*"] if len(client.keywords.names) < MAX_KEYWORDS else []
    return b"OK [PERMANENTFLAGS (%b)] Flags that stay" % b" ".join(filter(None, named))


async def know_keywords(client: Client, numbers: Sequence[int]) -> None:
    """See to it that the session has the names of these keywords."""
    if not client.keywords.knows(numbers):
        client.keywords = Keywords(await keyword_names(client.house.pool, client.owner))


async def _claim(client: Client, selected: Selected, new: tuple[int, int]) -> None:
    r"""Take new messages as ``\Recent``; EXAMINE and guests leave them to others (RFC 3501 §6.3.2)."""
    if client.is_rev2:
        return
    if not selected.claims_recent:
        selected.position.claim(*new)
        return
    view = selected.position.view
    try:
        first = await claim_recent(client.house.pool, view.account, view.mailbox, new[1])
    except Unavailable as error:  # they stay recent for whoever comes next
        log.warning("recent messages not claimed", reason=str(error))
        return
    selected.position.claim(max(first, new[0]), new[1])
