"""What happened to the mailboxes of somebody between two looks at them (RFC 5465 §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imap_gateway.protocol.notify_grammar import Event, Group, Which
from imap_gateway.view.listing import SEPARATOR

ALL_MESSAGE_EVENTS = frozenset({Event.NEW, Event.EXPUNGE, Event.FLAGS})


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A mailbox at one moment.

    Attributes:
        key: Its account and its id: stays the same when it is renamed.
        is_own: It is no other's.
        is_readable: What happens to its messages may be told.
        tells_metadata: Its annotations may be read (RFC 5464 §3.3).
        is_subscribed: It is.
        uidvalidity: RFC 3501 §2.3.1.1.
        uidnext: Likewise.
        exists: How many messages it has.
        modseq: Its last step.
    """

    key: tuple[int, int]
    is_own: bool
    is_readable: bool
    tells_metadata: bool
    is_subscribed: bool
    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int


@dataclass(frozen=True, slots=True)
class NameChange:
    """A name that there is, or is not any more; ``old`` if it was renamed."""

    name: str
    old: str = ""


def events_of(groups: tuple[Group, ...], name: str, state: State) -> frozenset[Event]:
    """Return what of a mailbox is of interest."""
    found: frozenset[Event] = frozenset()
    for group in groups:
        if _is_in(group, name, state):
            found |= group.events
    return found


def _is_in(group: Group, name: str, state: State) -> bool:
    match group.which:
        case Which.INBOXES | Which.PERSONAL:  # §6.3: where mail may be delivered to is any
            return state.is_own
        case Which.SUBSCRIBED:
            return state.is_subscribed
        case Which.SUBTREE:
            return any(name == top or name.startswith(top + SEPARATOR) for top in group.names)
        case Which.MAILBOXES:
            return name in group.names
        case _:
            return False


def happened(old: State, new: State) -> frozenset[Event]:
    """Return what happened to the messages of a mailbox."""
    if old.uidvalidity != new.uidvalidity:
        return ALL_MESSAGE_EVENTS
    came = new.uidnext - old.uidnext
    events = {Event.NEW} if came else set()
    if old.exists + came > new.exists:
        events.add(Event.EXPUNGE)
    if new.modseq != old.modseq and not events:
        events.add(Event.FLAGS)
    return frozenset(events)


def name_changes(old: Mapping[str, State], new: Mapping[str, State]) -> list[NameChange]:
    """Return which names came, went or were changed (§5.4); what lies below a renamed one went with it."""
    was = {state.key: name for name, state in old.items()}
    is_ = {state.key: name for name, state in new.items()}
    renamed = {was[key]: is_[key] for key in was.keys() & is_.keys() if was[key] != is_[key]}
    changes = [
        NameChange(now, before)
        for before, now in sorted(renamed.items())
        if not _went_with_another(before, now, renamed)
    ]
    affected = {was[key] for key in was.keys() - is_.keys()}
    affected |= {is_[key] for key in is_.keys() - was.keys()}
    affected |= {name.rpartition(SEPARATOR)[0] for name in affected} - {""}
    return changes + [NameChange(name) for name in sorted(affected)]


def _went_with_another(before: str, now: str, renamed: Mapping[str, str]) -> bool:
    at = before.rfind(SEPARATOR)
    while at > 0:
        above = renamed.get(before[:at])
        if above is not None and now == above + before[at:]:
            return True
        at = before.rfind(SEPARATOR, 0, at)
    return False
