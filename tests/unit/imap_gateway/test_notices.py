"""What happened between two looks at the mailboxes (RFC 5465 §5)."""

from __future__ import annotations

from dataclasses import replace

from imap_gateway.protocol.notify_grammar import Event, Group, Which
from imap_gateway.view.notices import NameChange, State, events_of, happened, name_changes


def box(ident: int, *, is_own: bool = True, is_subscribed: bool = False) -> State:
    return State(
        key=(1 if is_own else 2, ident), is_own=is_own, is_readable=True, tells_metadata=True,
        is_subscribed=is_subscribed, uidvalidity=9, uidnext=4, exists=3, modseq=7,
    )  # fmt: skip


def test_what_happened_to_messages() -> None:
    old = box(1)

    assert happened(old, old) == frozenset()
    assert happened(old, replace(old, modseq=8)) == {Event.FLAGS}
    assert happened(old, replace(old, modseq=8, uidnext=5, exists=4)) == {Event.NEW}
    assert happened(old, replace(old, modseq=8, exists=2)) == {Event.EXPUNGE}
    both = replace(old, modseq=9, uidnext=6, exists=3)
    assert happened(old, both) == {Event.NEW, Event.EXPUNGE}
    assert happened(old, replace(old, uidvalidity=10)) == {Event.NEW, Event.EXPUNGE, Event.FLAGS}


def test_names_come_and_go_with_their_parents() -> None:
    before = {"INBOX": box(1), "a/b": box(2)}
    after = {"INBOX": box(1), "c": box(3)}

    assert name_changes(before, before) == []
    assert name_changes(before, after) == [NameChange(n) for n in ("a", "a/b", "c")]


def test_what_lies_below_a_renamed_mailbox_goes_with_it() -> None:
    before = {"a": box(1), "a/b": box(2), "a/b/c": box(3), "x": box(4)}
    after = {"n": box(1), "n/b": box(2), "n/other": box(3), "x": box(4)}

    assert name_changes(before, after) == [NameChange("n", "a"), NameChange("n/other", "a/b/c")]


def test_each_mailbox_has_the_events_of_all_its_groups() -> None:
    new, names = frozenset({Event.NEW, Event.EXPUNGE}), frozenset({Event.NAME})
    groups = (
        Group(which=Which.SELECTED, events=frozenset({Event.FLAGS})),
        Group(which=Which.SUBTREE, names=("lists",), events=new),
        Group(which=Which.PERSONAL, events=names),
        Group(which=Which.SUBSCRIBED, events=frozenset({Event.SUBSCRIPTION})),
    )

    assert events_of(groups, "lists/one", box(1)) == new | names
    assert events_of(groups, "lists", box(1, is_own=False)) == new
    assert events_of(groups, "listsx", box(1, is_own=False)) == frozenset()
    there = box(1, is_own=False, is_subscribed=True)
    assert events_of(groups, "user/bert", there) == {Event.SUBSCRIPTION}
