"""NOTIFY: what a client wants to hear of without asking (RFC 5465 §8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.fetch_grammar import fetch_items
from imap_gateway.protocol.items import FetchItem
from imap_gateway.protocol.rules import Rule
from imap_gateway.protocol.words import mailbox

MAX_GROUPS = 100
MAX_NAMES = 1000


class Event(Enum):
    """What may happen (§5); the value is the name on the wire."""

    NEW = b"MessageNew"
    EXPUNGE = b"MessageExpunge"
    FLAGS = b"FlagChange"
    NAME = b"MailboxName"
    SUBSCRIPTION = b"SubscriptionChange"
    MAILBOX_METADATA = b"MailboxMetadataChange"
    SERVER_METADATA = b"ServerMetadataChange"


class Which(Enum):
    """Of which mailboxes (§6)."""

    SELECTED = b"SELECTED"
    SELECTED_DELAYED = b"SELECTED-DELAYED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    MAILBOXES = b"MAILBOXES"


MESSAGE_EVENTS: Final = frozenset({Event.NEW, Event.EXPUNGE, Event.FLAGS})
OF_SELECTED: Final = frozenset({Which.SELECTED, Which.SELECTED_DELAYED})
_NAMED = frozenset({Which.SUBTREE, Which.MAILBOXES})
_EVENTS = {event.value.upper(): event for event in Event}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some mailboxes and what is of interest there.

    Attributes:
        which: The mailboxes.
        names: Of `Which.SUBTREE` and `Which.MAILBOXES`.
        events: What is of interest; empty for NONE.
        items: What FETCH is to tell of new messages; for the selected mailbox only.
        has_unknown: An event was named that there is not.
    """

    which: Which
    names: tuple[str, ...] = ()
    events: frozenset[Event] = frozenset()
    items: tuple[FetchItem, ...] = ()
    has_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """§3.1; without groups NOTIFY NONE."""

    groups: tuple[Group, ...] = ()
    asks_status: bool = False


def _notify(cursor: Cursor) -> Notify:
    """``notify = "NOTIFY" SP ("SET" [SP "STATUS"] event-groups / "NONE")``."""
    cursor.space()
    word = cursor.word()
    if word == b"NONE":
        return Notify()
    if word != b"SET":
        raise BadSyntax("expected SET or NONE")
    cursor.space()
    asks_status = cursor.peek() != 0x28
    if asks_status:
        if cursor.word() != b"STATUS":
            raise BadSyntax("expected STATUS")
        cursor.space()
    groups = [_group(cursor)]
    while cursor.skip(b" "):
        groups.append(_group(cursor))
        if len(groups) > MAX_GROUPS:
            raise BadSyntax("too many groups")
    if sum(group.which in OF_SELECTED for group in groups) > 1:  # §6.1
        raise BadSyntax("the selected mailbox is named twice")
    return Notify(groups=tuple(groups), asks_status=asks_status)


def _group(cursor: Cursor) -> Group:
    """``event-group = "(" filter-mailboxes SP events ")"``."""
    cursor.expect(b"(")
    try:
        which = Which(cursor.word())
    except ValueError as error:
        raise BadSyntax("unknown mailboxes") from error
    cursor.space()
    names: tuple[str, ...] = ()
    if which in _NAMED:
        names = _names(cursor)
        cursor.space()
    group = _events(cursor, which, names)
    cursor.expect(b")")
    _check(group)
    return group


def _names(cursor: Cursor) -> tuple[str, ...]:
    """``one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"``."""
    if not cursor.skip(b"("):
        return (mailbox(cursor),)
    names = [mailbox(cursor)]
    while not cursor.skip(b")"):
        cursor.space()
        names.append(mailbox(cursor))
        if len(names) > MAX_NAMES:
            raise BadSyntax("too many names")
    return tuple(names)


def _events(cursor: Cursor, which: Which, names: tuple[str, ...]) -> Group:
    """``events = "(" event *(SP event) ")" / "NONE"``; the RFC's examples have no parentheses."""
    is_listed = cursor.skip(b"(")
    events: set[Event] = set()
    items: tuple[FetchItem, ...] = ()
    has_unknown, count = False, 0
    while not count or cursor.skip(b" "):
        word, count = cursor.word(), count + 1
        if word == b"NONE" and not is_listed and count == 1:
            break
        event = _EVENTS.get(word)
        has_unknown = has_unknown or event is None
        if event is not None:
            events.add(event)
        if event is Event.NEW and cursor.data[cursor.at : cursor.at + 2] == b" (":
            cursor.space()
            items = fetch_items(cursor)
    if is_listed:
        cursor.expect(b")")
    return Group(
        which=which,
        names=names,
        events=frozenset(events),
        items=items,
        has_unknown=has_unknown,
    )


def _check(group: Group) -> None:
    """What goes together (§5, §6.1)."""
    told = group.events & MESSAGE_EVENTS
    if told and not {Event.NEW, Event.EXPUNGE} <= told:
        raise BadSyntax("MessageNew and MessageExpunge go together, and with FlagChange")
    if group.which in OF_SELECTED:
        if group.events - MESSAGE_EVENTS:
            raise BadSyntax("not an event of the selected mailbox")
    elif group.items:
        raise BadSyntax("items are of the selected mailbox only")


RULES: Final[Mapping[str, Rule]] = MappingProxyType({"NOTIFY": _notify})
