from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imap_gateway.protocol.appending import Append, Literal, NewMessage, Replace, Source, Url
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.protocol.framing import HELD_OCTETS, Event, Framer, GoAhead, Part, TooLarge
from imap_gateway.protocol.grammar import BadCommand, parse
from imap_gateway.protocol.items import Section, Text
from imap_gateway.protocol.octets import Aside
from imap_gateway.protocol.urls import MessageUrl, message_url

LARGE = HELD_OCTETS + 1
LIMIT = 2 * LARGE


def message(*sources: Source, flags: tuple[str, ...] = ()) -> NewMessage:
    return NewMessage(flags=flags, date=None, sources=sources)


def test_append_has_flags_and_a_date() -> None:
    octets = b't APPEND x (\\Seen) " 1-Feb-2003 04:05:06 +0200" {3}\r\nabc'

    assert parse(octets).command == Append(
        mailbox="x",
        messages=(
            NewMessage(
                flags=("\\Seen",),
                date=datetime(2003, 2, 1, 2, 5, 6, tzinfo=UTC),
                sources=(Literal(octets=b"abc"),),
            ),
        ),
    )


def test_append_may_bring_several_messages_of_every_kind() -> None:
    octets = (
        b"t APPEND x (a) {1+}\r\nb ~{1}\r\n\0 UTF8 (~{1}\r\nc)"
        b' CATENATE (TEXT {1}\r\nd URL "/x;UID=1" UTF8 (~{1}\r\ne))'
    )

    assert parse(octets).command == Append(
        mailbox="x",
        messages=(
            message(Literal(octets=b"b"), flags=("a",)),
            message(Literal(octets=b"\0", is_binary=True)),
            message(Literal(octets=b"c", is_binary=True)),
            message(Literal(octets=b"d"), Url(b"/x;UID=1"), Literal(octets=b"e", is_binary=True)),
        ),
    )


@pytest.mark.parametrize(
    ("head", "number", "is_uid"),
    [(b"REPLACE 4", 4, False), (b"UID REPLACE 20", 20, True), (b"REPLACE *", 0, False)],
)
def test_replace_names_one_message(head: bytes, number: int, is_uid: bool) -> None:  # noqa: FBT001
    assert parse(b"t " + head + b" x {1}\r\nb").command == Replace(
        number=number, is_uid=is_uid, mailbox="x", message=message(Literal(octets=b"b"))
    )


@pytest.mark.parametrize(
    "octets",
    [
        b"APPEND x",
        b"APPEND x CATENATE ()",
        b"APPEND x CATENATE (TEXT abc)",
        b"APPEND x UTF8 {1}\r\na",
        b"APPEND x OTHER (a)",
        b"APPEND x {2}\r\na\0",
        b"REPLACE 0 x {1}\r\nb",
        b"REPLACE 1:2 x {1}\r\nb",
        b"REPLACE 1 x {1}\r\nb {1}\r\nc",
    ],
)
def test_what_is_no_append_is_refused(octets: bytes) -> None:
    with pytest.raises(BadCommand):
        parse(b"t " + octets)


def test_a_literal_that_was_put_aside_stands_only_for_a_message() -> None:
    octets = b"t APPEND x {%d}\r\n" % LARGE
    aside = Aside(at=len(octets), start=0, size=LARGE)

    assert parse(octets, (aside,)).command == Append(
        mailbox="x", messages=(message(Literal(octets=aside)),)
    )

    octets = b"t APPEND {%d}\r\n {1}\r\nb" % LARGE
    with pytest.raises(BadCommand, match="literal too large here"):
        parse(octets, (Aside(at=octets.index(b"\n") + 1, start=0, size=LARGE),))


def framed(octets: bytes, step: int) -> list[Event]:
    framer = Framer(LIMIT)
    framer.is_trusted = True
    events: list[Event] = []
    for at in range(0, len(octets), step):
        framer.feed(octets[at : at + step])
        while (event := framer.frame()) is not None:
            events.append(event)
    return events


@pytest.mark.parametrize("step", [1000, 70_000, 10_000_000])
@pytest.mark.parametrize("name", [b"APPEND", b"uid replace 1"])
def test_large_messages_come_out_in_parts_and_the_command_tells_where_they_were(
    step: int, name: bytes
) -> None:
    first, second = b"a\r\n" * (LARGE // 3 + 1), b"b\r\n" * (LARGE // 3 + 2)
    head = b"t %b x {%d+}\r\n" % (name, len(first))
    middle, end = b" {3+}\r\nabc ~{%d+}\r\n" % len(second), b" (x)"

    *parts, frame = framed(head + first + middle + second + end + b"\r\n", step)

    assert b"".join(part.octets for part in parts if isinstance(part, Part)) == first + second
    assert frame.octets == head + middle + end  # type: ignore[union-attr]
    assert frame.aside == (  # type: ignore[union-attr]
        Aside(at=len(head), start=0, size=len(first)),
        Aside(at=len(head + middle), start=len(first), size=len(second)),
    )


def test_many_small_messages_are_put_aside_when_they_are_many() -> None:
    size = HELD_OCTETS
    literal = b" {%d+}\r\n" % size + b"x" * size
    *parts, frame = framed(b"t APPEND x" + 4 * literal + b"\r\n", 100_000)

    assert sum(len(part.octets) for part in parts if isinstance(part, Part)) == 2 * size
    assert len(frame.aside) == 2  # type: ignore[union-attr]


def test_all_messages_of_a_command_together_are_bounded() -> None:
    literal = b" {%d+}\r\n" % LIMIT + b"x" * LIMIT
    events = framed(b"t APPEND x" + 4 * literal + b" {%d}\r\n" % LIMIT + b"u NOOP\r\n", 100_000)

    assert events[-2] == TooLarge(b"t")
    assert framed(b"t APPEND x {%d}\r\n" % LIMIT, 100) == [GoAhead()]
    assert framed(b"t APPEND x {%d}\r\n" % (LIMIT + 1), 100) == [TooLarge(b"t")]


def section(text: Text = Text.ALL, path: tuple[int, ...] = (), **more: object) -> Section:
    spec = b".".join([*(b"%d" % n for n in path), *([text.value] if text.value else [])])
    return Section(path=path, text=text, is_peek=True, label=b"BODY[" + spec + b"]", **more)  # type: ignore[arg-type]


# RFC 4469 appendix A, RFC 8508 §4.2, RFC 5092 §7 and §10
@pytest.mark.parametrize(
    ("text", "mailbox", "validity", "uid", "what"),
    [
        (b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER", "Drafts", 385759045, 20, section(Text.HEADER)),
        (b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME", "Drafts", 385759045, 20, section(Text.MIME, (1,))),
        (b"/Drafts;UIDVALIDITY=385759045/;UID=30", "Drafts", 385759045, 30, section()),
        (b"/Drafts/;UID=3002", "Drafts", None, 3002, section()),
        (b"/a/b%20%C3%A9;UID=1/;SECTION=1.2/;PARTIAL=0.1024", "a/b é", None, 1, section(path=(1, 2), partial=(0, 1024))),
        (b"/inbox/;UID=1/;PARTIAL=5", "INBOX", None, 1, section(partial=(5, 0xFFFF_FFFF))),
        (b"/;UID=7", None, None, 7, section()),
        (b";UID=7/;SECTION=TEXT", None, None, 7, section(Text.TEXT)),
    ],
)  # fmt: skip
def test_a_url_names_a_message(
    text: bytes, mailbox: str | None, validity: int | None, uid: int, what: Section
) -> None:
    assert message_url(text) == MessageUrl(
        mailbox=mailbox, uidvalidity=validity, uid=uid, section=what
    )


@pytest.mark.parametrize(
    "text",
    [
        b"", b"/x", b"/x/;UID=0", b"/x/;UID=99999999999", b"imap://anna@host/x/;UID=1",
        b"//host/x/;UID=1", b"/x?SUBJECT", b"/x/;UID=1/;SECTION=", b"/x/;UID=1/;SECTION=FLAGS",
        b"/x/;UID=1/;SECTION=1]a", b"/%ff/;UID=1", b"/x;UIDVALIDITY=a/;UID=1",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_message_here_is_refused(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        message_url(text)
