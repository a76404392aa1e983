"""Which messages match a search: sets of rows, narrowed key by key (RFC 3501 §6.4.4).

Keys that need more than the view (texts, dates) are looked up before by who does I/O; what they
found comes in as `found`. Messages are looked at some thousands at a time: a list or a set of a
million is made and unmade in one go, and no other thread runs meanwhile.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from imap_gateway.protocol import keys as k
from imap_gateway.protocol.sequences import SequenceSet, runs
from imap_gateway.view.flags import Keywords
from imap_gateway.view.hits import AT_ONCE, Marks
from imap_gateway.view.position import Position
from imap_gateway.view.rows import Rows

# What the view does not know by itself.
Outside: TypeAlias = k.Contains | k.Dated | k.Within | k.HasId

# Places from the first to before the last of each span, ascending.
Spans: TypeAlias = "tuple[array[int], array[int]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is searched.

    Attributes:
        rows: The messages.
        places: All of the session's messages, as places in ``rows``, ascending.
        position: The session's.
        keywords: Of the account.
        found: For every key of `Outside` the places it matches.
        named: The places that sets of numbers stand for, once they were looked at.
    """

    rows: Rows
    places: Sequence[int]
    position: Position
    keywords: Keywords
    found: Mapping[Outside, Marks] = field(default_factory=dict)
    named: dict[k.InSet, Spans] = field(default_factory=dict)


def outside_keys(key: k.Key) -> set[Outside]:
    """Return the keys in ``key`` that must be looked up."""
    match key:
        case k.Contains() | k.Dated() | k.Within() | k.HasId():
            return {key}
        case k.Not(key=inner):
            return outside_keys(inner)
        case k.Or(one=one, other=other):
            return outside_keys(one) | outside_keys(other)
        case k.And(keys=keys):
            return set().union(*map(outside_keys, keys))
        case _:
            return set()


def asks_modseq(key: k.Key) -> bool:
    """True if MODSEQ is among the keys: then the answer tells one (RFC 7162 §3.1.5)."""
    match key:
        case k.ChangedSince():
            return True
        case k.Not(key=inner):
            return asks_modseq(inner)
        case k.Or(one=one, other=other):
            return asks_modseq(one) or asks_modseq(other)
        case k.And(keys=keys):
            return any(map(asks_modseq, keys))
        case _:
            return False


def with_uids(key: k.Key, position: Position) -> k.Key:
    """Return ``key`` with the UIDs that sequence numbers and ``$`` stand for now (RFC 5267 §4.3)."""
    match key:
        case k.InSet(numbers=numbers, is_uid=is_uid) if numbers.is_saved or not is_uid:
            return k.InSet(_uids_of(numbers, position), is_uid=True)
        case k.Not(key=inner):
            return k.Not(with_uids(inner, position))
        case k.Or(one=one, other=other):
            return k.Or(with_uids(one, position), with_uids(other, position))
        case k.And(keys=keys):
            return k.And(tuple(with_uids(one, position) for one in keys))
        case _:
            return key


def _uids_of(numbers: SequenceSet, position: Position) -> SequenceSet:
    if numbers.is_saved:
        return SequenceSet(tuple(runs(position.saved)))
    count, ranges = position.count, numbers.resolve(position.count)
    known = [(first, min(last, count)) for first, last in ranges if first <= count]
    return SequenceSet(tuple((position.uid(a - 1), position.uid(b - 1)) for a, b in known))


def names_numbers(key: k.Key) -> bool:
    """True if messages are named by sequence numbers among the keys."""
    match key:
        case k.InSet(is_uid=is_uid, numbers=numbers):
            return not is_uid and not numbers.is_saved
        case k.Not(key=inner):
            return names_numbers(inner)
        case k.Or(one=one, other=other):
            return names_numbers(one) or names_numbers(other)
        case k.And(keys=keys):
            return any(map(names_numbers, keys))
        case _:
            return False


def count_keys(key: k.Key) -> int:
    """Return how many keys are tested at most for each message."""
    match key:
        case k.Not(key=inner):
            return count_keys(inner)
        case k.Or(one=one, other=other):
            return count_keys(one) + count_keys(other)
        case k.And(keys=keys):
            return sum(map(count_keys, keys))
        case _:
            return 1


def candidates(key: k.Key, scope: Scope) -> Sequence[int]:
    """Return places that cannot be ruled out without looking anything up."""
    keys = key.keys if isinstance(key, k.And) else (key,)
    known = tuple(one for one in keys if not outside_keys(one))
    return matching(k.And(known), scope) if known else scope.places


def matching(key: k.Key, scope: Scope) -> array[int]:
    """Return the places that match, ascending."""
    found = array("I")
    for start in range(0, len(scope.places), AT_ONCE):
        found.extend(select(key, scope, scope.places[start : start + AT_ONCE]))
    return found


def select(key: k.Key, scope: Scope, places: Sequence[int]) -> Sequence[int]:
    """Return those of ``places`` that match, in their order; for some thousands at a time."""
    if not places:
        return places
    match key:
        case k.And(keys=keys):
            for one in keys:
                places = select(one, scope, places)
            return places
        case k.Or(one=one, other=other):
            first = set(select(one, scope, places))
            second = set(select(other, scope, [p for p in places if p not in first]))
            return [p for p in places if p in first or p in second]
        case k.Not(key=inner):
            matched = set(select(inner, scope, places))
            return [p for p in places if p not in matched]
        case _:
            return _by_row(key, scope, places)


def _by_row(key: k.Key, scope: Scope, places: Sequence[int]) -> Sequence[int]:
    rows = scope.rows
    match key:
        case k.Flagged(bit=bit, is_set=is_set):
            flags = scope.position.flags_of(rows)
            return [p for p in places if bool(flags[p] & bit) is is_set]
        case k.Size(octets=octets, is_larger=is_larger):
            sizes = rows.sizes
            return [p for p in places if (sizes[p] > octets if is_larger else sizes[p] < octets)]
        case k.ChangedSince(modseq=modseq):
            return [p for p in places if rows.modseqs[p] >= modseq]
        case k.Contains() | k.Dated() | k.Within() | k.HasId():
            marks = scope.found[key]
            return [p for p in places if marks[p]]
        case _:
            return _by_uid(key, scope, places)


def _by_uid(key: k.Key, scope: Scope, places: Sequence[int]) -> Sequence[int]:
    uids = scope.rows.uids
    match key:
        case k.Recent(is_set=is_set):
            return [p for p in places if scope.position.is_recent(uids[p]) is is_set]
        case k.Keyword(name=name, is_set=is_set):
            number, words = scope.keywords.number(name), scope.rows.keywords
            return [p for p in places if (number in words[p]) is is_set]
        case k.InSet():
            low = places[0]
            marks = _named(key, scope, low, places[-1])
            return [p for p in places if marks[p - low]]
        case _:
            return places


def _named(key: k.InSet, scope: Scope, low: int, high: int) -> Marks:
    """Return which of the rows from ``low`` to ``high`` are in a set; numbers of no message match nothing."""
    spans = scope.named.get(key)
    if spans is None:
        spans = scope.named[key] = _spans(key, scope)
    starts, ends = spans
    marks, at = bytearray(high + 1 - low), bisect_right(ends, low)
    while at < len(starts) and starts[at] <= high:
        start, end = max(starts[at], low) - low, min(ends[at], high + 1) - low
        marks[start:end] = b"\1" * (end - start)
        at += 1
    return marks


def _spans(key: k.InSet, scope: Scope) -> Spans:
    uids, position = scope.rows.uids, scope.position
    starts, ends = array("I"), array("I")
    if key.numbers.is_saved:
        for first, last in runs(scope.rows.places(position.saved)):
            starts.append(first)
            ends.append(last + 1)
        return starts, ends
    numbers = key.numbers if key.is_uid else _uids_of(key.numbers, position)
    for first, last in numbers.resolve(uids[-1] if uids else 0):
        starts.append(bisect_left(uids, first))
        ends.append(bisect_right(uids, last))
    return starts, ends
