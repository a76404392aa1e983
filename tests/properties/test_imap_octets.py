"""Laws of the IMAP language: any octets are read or refused, and what is written is read again."""

from __future__ import annotations

import re
from unicodedata import normalize

from hypothesis import example, given
from hypothesis import strategies as st

from imap_gateway.protocol import mutf7
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.framing import Frame, Framer, Hopeless
from imap_gateway.protocol.grammar import BadCommand, parse
from imap_gateway.protocol.responses import mailbox, string
from imap_gateway.protocol.sequences import sequence_set, write_set
from imap_gateway.protocol.urls import message_url
from imap_gateway.protocol.words import name_in
from imap_gateway.view.sections import pick_fields, without_extensions
from posthouse.mime import scan

_WORDS = st.sampled_from(
    [b"a", b" ", b"(", b")", b"[", b"]", b"{", b"}", b"{1+}\r\n", b'"', b"\\", b"*", b"%", b"1", b":",
     b",", b"<", b">", b".", b"NIL", b"FETCH", b"UID ", b"BODY[", b"HEADER.FIELDS", b"SEARCH ", b"OR ",
     b"NOT ", b"STORE", b"+FLAGS", b"APPEND", b"LIST", b"&", b"-", b"LOGIN", b"CHARSET ", b"\xff",
     b"\r", b"\n", b"\0", b"1-Jan-2020", b"STATUS", b"SELECT", b"CONDSTORE", b"MODSEQ", b"4294967296",
     b"CATENATE (", b"UTF8 (", b"~", b"TEXT ", b"URL ", b"REPLACE 1 x ", b"BINARY[", b"COMPRESS ", b"\xc3\xa9"]
)  # fmt: skip
_COMMANDS = st.lists(_WORDS, max_size=20).map(b"".join) | st.binary(max_size=100)


@given(_COMMANDS)
@example(b"SEARCH (((")
@example(b"SEARCH OR SEEN")
@example(b"FETCH 1 BODY[")
def test_any_octets_are_a_command_or_refused(octets: bytes) -> None:
    for head in (
        b"",
        b"a ",
        b"a SEARCH ",
        b"a SORT (DATE) UTF-8 ",
        b"a UID SEARCH RETURN (",
        b"a FETCH 1 ",
        b"a UID STORE ",
    ):
        try:
            parse(head + octets)
        except BadCommand:
            continue


@given(st.lists(_COMMANDS | st.just(b"\r\n"), max_size=10), st.booleans())
def test_any_octets_are_framed_however_they_arrive(pieces: list[bytes], is_trusted: bool) -> None:  # noqa: FBT001
    def events(chunks: list[bytes]) -> list[object]:
        framer = Framer(1000)
        framer.is_trusted = is_trusted
        found: list[object] = []
        for chunk in chunks:
            framer.feed(chunk)
            while (event := framer.frame()) is not None:
                found.append(event)
                if isinstance(event, Hopeless):
                    return found
        return found

    whole = b"".join(pieces)

    assert (
        events(pieces) == events([whole]) == events([whole[i : i + 1] for i in range(len(whole))])
    )


@given(st.binary(max_size=200).filter(lambda octets: b"\0" not in octets))
def test_a_string_that_is_written_is_read_again(octets: bytes) -> None:
    cursor = Cursor(string(octets))

    assert cursor.string() == octets
    cursor.end()


@given(st.text(max_size=50).filter(lambda name: not re.search("[\ud800-\udfff]", name)))
def test_a_name_that_is_written_is_read_again(name: str) -> None:
    assert mutf7.decode(mutf7.encode(name)) == name
    assert mutf7.decode(Cursor(mailbox(name, is_utf8=False)).astring()) == name


@given(st.text(max_size=50).filter(str.isprintable))
def test_a_name_in_utf8_is_read_again(name: str) -> None:
    cursor = Cursor(mailbox(normalize("NFC", name), is_utf8=True))
    cursor.is_utf8 = True

    assert name_in(cursor, cursor.astring()) == normalize("NFC", name)
    cursor.end()


@given(st.binary(max_size=80))
def test_any_octets_are_a_url_or_refused(octets: bytes) -> None:
    for url in (octets, b"/x/;UID=1/;SECTION=" + octets):
        try:
            message_url(url)
        except BadSyntax:
            continue


@given(st.binary(max_size=50))
def test_a_name_is_read_only_in_the_form_it_is_written(wire: bytes) -> None:
    try:
        name = mutf7.decode(wire)
    except BadSyntax:
        return
    assert mutf7.encode(name) == wire


@given(st.sets(st.integers(1, 0xFFFF_FFFF), min_size=1, max_size=50))
def test_a_set_that_is_written_is_read_again(numbers: set[int]) -> None:
    read = sequence_set(Cursor(write_set(sorted(numbers))))

    assert sum(last - first + 1 for first, last in read.resolve(1)) == len(numbers)
    assert all(any(a <= n <= b for a, b in read.ranges) for n in numbers)


@given(st.binary(max_size=300))
def test_any_message_has_a_body_and_fields(octets: bytes) -> None:
    summary = scan(octets)

    assert without_extensions(summary.bodystructure).startswith(b"(")
    assert pick_fields(octets, [b"a"], is_not=False).endswith(b"\r\n")


@given(st.binary(max_size=100))
def test_a_frame_holds_what_was_sent(octets: bytes) -> None:
    framer = Framer(1000)
    framer.is_trusted = True
    framer.feed(b"a X {%d+}\r\n%b\r\n" % (len(octets), octets))

    assert framer.frame() == Frame(b"a X {%d+}\r\n%b" % (len(octets), octets))
    assert framer.held == 0
