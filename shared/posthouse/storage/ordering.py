"""Messages of a mailbox in the order of their sort values, and what threads are made of (RFC 5256).

PostgreSQL sorts; only UIDs come back. The values must have been added before, see `searching`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from posthouse.mime.ordering import Member
from posthouse.storage.packed import fetch_packed
from posthouse.storage.pool import Queries

FEW_UIDS = 2000  # are named one by one; of more the whole mailbox is sorted
PAGE_MESSAGES = 20_000

_SENT = "coalesce(s.sent, m.internaldate)"  # RFC 5256 §2.2
_VALUES = {
    "ARRIVAL": "m.internaldate",
    "SIZE": "m.size",
    "DATE": _SENT,
    "SUBJECT": 's.subject_s collate "C"',
    "FROM": 's.from_s collate "C"',
    "TO": 's.to_s collate "C"',
    "CC": 's.cc_s collate "C"',
    "DISPLAYFROM": 's.from_d collate "C"',
    "DISPLAYTO": 's.to_d collate "C"',
}
_JOINED = """
      from messages m join search s on s.account_id = m.account_id and s.content_id = m.content_id
     where m.account_id = $1 and m.mailbox_id = $2
"""
_HEAD = struct.Struct(">qqqqi")  # uid, sent, ident, subject, references and reply bit
_ENTRY_REPLY = 1 << 30

Where = tuple[int, int]  # account and mailbox


async def sorted_uids(
    queries: Queries, where: Where, order: Sequence[tuple[str, bool]], uids: Sequence[int]
) -> bytes:
    """Return the UIDs, int8 each: those of ``uids`` that are there, and maybe others.

    Args:
        queries: Where to ask.
        where: Account and mailbox.
        order: Names of sort keys, and whether each is reversed; equal messages keep their order.
        uids: The messages to sort.
    """
    by = ", ".join(f"{_VALUES[name]}{' desc' if is_reverse else ''}" for name, is_reverse in order)
    sql = f"select string_agg(int8send(m.uid), '' order by {by}, m.uid) as uids {_JOINED}"
    if len(uids) <= FEW_UIDS:
        return await fetch_packed(queries, f"{sql} and m.uid = any ($3::bigint[])", *where, uids)
    return await fetch_packed(queries, f"{sql} and m.uid <= $3", *where, uids[-1])


_MEMBERS = f"""
    select string_agg(
             int8send(uid) || int8send((extract(epoch from sent) * 1000000)::bigint)
             || int8send(coalesce(ident, -1))
             || int8send(case when subject_s = '' then 0 else hashtextextended(subject_s, 0) end)
             || int4send(length(refs) / 8 + case when is_reply then {_ENTRY_REPLY} else 0 end)
             || refs, '' order by uid) as members, max(uid) as last, count(*) as many
      from (select m.uid, {_SENT} as sent, s.ident, s.subject_s, s.is_reply, s.refs
            {_JOINED} and m.uid > $3 order by m.uid limit $4) page
"""  # noqa: S608  constants only


async def thread_page(queries: Queries, where: Where, after: int) -> tuple[bytes, int | None]:
    """Return packed members with UIDs above ``after``, and after which the next page begins."""
    row = await queries.fetchrow(_MEMBERS, *where, after, PAGE_MESSAGES)
    if row is None or not row["many"]:
        return b"", None
    return row["members"], row["last"] if row["many"] == PAGE_MESSAGES else None


def unpack_members(packed: bytes) -> Iterator[Member]:
    """Yield what `thread_page` packed, in mailbox order."""
    at = 0
    while at < len(packed):
        uid, sent, ident, subject, tail = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        many = tail & (_ENTRY_REPLY - 1)
        references = struct.unpack_from(f">{many}q", packed, at) if many else ()
        at += 8 * many
        yield Member(uid, sent, ident, subject, bool(tail & _ENTRY_REPLY), references)
