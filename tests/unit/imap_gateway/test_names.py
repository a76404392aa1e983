from __future__ import annotations

import time

import pytest

from imap_gateway.protocol import mutf7
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.view.listing import Choice, Folder, Pattern, listing, subscribed
from imap_gateway.view.names import Elsewhere, elsewhere, name_for


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
        ("a&b", b"a&-b"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("😀", b"&2D3eAA-"),
    ],
)
def test_names_have_one_form_on_the_wire(name: str, wire: bytes) -> None:
    assert mutf7.encode(name) == wire
    assert mutf7.decode(wire) == name


@pytest.mark.parametrize(
    "wire",
    [b"&Jjo!", b"&U,BTFw-&ZeVnLIqe-", b"a&b", b"&AGE-", b"\xc3\xa9", b"&2D0-", b"&AA-", b"a\0"],
)
def test_other_forms_are_refused(wire: bytes) -> None:
    with pytest.raises(BadSyntax):
        mutf7.decode(wire)


@pytest.mark.parametrize(
    ("reference", "pattern", "name", "is_match"),
    [
        ("", "*", "a/b", True),
        ("", "%", "a", True),
        ("", "%", "a/b", False),
        ("a/", "%", "a/b", True),
        ("", "a*c", "a/b/c", True),
        ("", "a%c", "a/c", False),
        ("", "%/%", "a/b", True),
        ("", "inbox", "INBOX", True),
        ("", "iNboX/*", "INBOX/a", True),
        ("", "inboxes", "INBOXes", False),
        ("", "a.c", "abc", False),
        ("", "*%", "a/b", True),
        ("", "", "a", False),
        ("", "a%%", "a", True),
    ],
)
def test_patterns_match_names(reference: str, pattern: str, name: str, *, is_match: bool) -> None:
    assert Pattern(reference, pattern).matches(name) is is_match


@pytest.mark.parametrize("pattern", ["*a" * 500, "*" * 1000 + "b", "%*" * 500 + "b", "%a" * 500])
def test_a_pattern_of_many_wildcards_is_quick(pattern: str) -> None:
    started = time.process_time()

    Pattern("", pattern).matches("a" * 999 + "b")

    assert time.process_time() - started < 0.1  # of ten thousand names somebody else waits for


def _told(choice: Choice, *names: str) -> list[tuple[str, tuple[str, ...]]]:
    folders = {name: Folder(exists=True) for name in names}
    return [(one.name, one.attributes) for one in listing(folders, choice)]


def test_levels_without_a_mailbox_are_listed() -> None:
    told = _told(Choice(patterns=[Pattern("", "*")]), "INBOX", "a/b", "Sent")

    assert told == [
        ("INBOX", ("\\HasNoChildren",)),
        ("Sent", ("\\HasNoChildren",)),
        ("a", ("\\Noselect", "\\HasChildren")),
        ("a/b", ("\\HasNoChildren",)),
    ]


def test_extended_list_tells_a_missing_level_only_where_nothing_below_it_is_told() -> None:
    everything = Choice(patterns=[Pattern("", "*")], is_extended=True)
    top = Choice(patterns=[Pattern("", "%")], is_extended=True)

    assert _told(everything, "a/b/c") == [("a/b/c", ("\\HasNoChildren",))]
    assert _told(top, "a/b/c") == [("a", ("\\NonExistent", "\\HasChildren"))]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("user/bert", Elsewhere(is_shared=False, address="bert@example.test", name="INBOX")),
        ("user/bert/a/b", Elsewhere(is_shared=False, address="bert@example.test", name="a/b")),
        ("user/c@far.test/a", Elsewhere(is_shared=False, address="c@far.test", name="a")),
        ("shared/sales", Elsewhere(is_shared=True, address="sales@example.test", name="INBOX")),
    ],
)
def test_a_name_of_somebody_else_is_read_as_it_is_told(name: str, there: Elsewhere) -> None:
    assert elsewhere(name, "anna@example.test") == there
    assert name_for("anna@example.test", there) == name


@pytest.mark.parametrize("name", ["INBOX", "user", "user/", "shared", "users/bert", "a/user/b"])
def test_other_names_are_ones_own(name: str) -> None:
    assert elsewhere(name, "anna@example.test") is None


def test_percent_shows_the_level_above_what_is_subscribed() -> None:
    names = {"foo/bar", "baz"}

    assert subscribed(names, Pattern("", "%"), is_level_wise=True) == [
        ("baz", ()),
        ("foo", ("\\Noselect",)),
    ]
    assert subscribed(names, Pattern("", "*"), is_level_wise=False) == [
        ("baz", ()),
        ("foo/bar", ()),
    ]
