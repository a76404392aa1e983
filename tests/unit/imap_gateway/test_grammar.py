from __future__ import annotations

from datetime import date

import pytest

from imap_gateway.protocol import commands as c
from imap_gateway.protocol import finding as f
from imap_gateway.protocol import keys as k
from imap_gateway.protocol import listing as v
from imap_gateway.protocol.cursor import BadSyntax
from imap_gateway.protocol.grammar import BadCommand, parse
from imap_gateway.protocol.items import Item, Section, Text
from imap_gateway.protocol.pages import Partial
from imap_gateway.protocol.search_grammar import MAX_DEPTH
from imap_gateway.protocol.sequences import STAR, SequenceSet, write_set


def read(octets: bytes) -> c.Command:
    return parse(b"t " + octets).command


def test_a_command_has_its_tag_and_its_name() -> None:
    tagged = parse(b"A1.b uid FETCH 1 uid")

    assert (tagged.tag, tagged.name) == (b"A1.b", "UID FETCH")


@pytest.mark.parametrize(
    ("octets", "command"),
    [
        (b"login anna secret", c.Login("anna", "secret")),
        (b'LOGIN "an\\"na" {4+}\r\npa\r\n', c.Login('an"na', "pa\r\n")),
        (b"AUTHENTICATE PLAIN =", c.Authenticate("PLAIN", b"=")),
        (b"AUTHENTICATE LOGIN", c.Authenticate("LOGIN", None)),
        (b"SELECT inBOX", c.Select(mailbox="INBOX", is_examine=False)),
        (
            b"EXAMINE x (CONDSTORE)",
            c.Select(mailbox="x", is_examine=True, parameters={b"CONDSTORE": True}),
        ),
        (b"CREATE &AOk-t&AOk-", v.Create("été")),
        (b'RENAME a "b c"', c.Rename("a", "b c")),
        (b"UNSUBSCRIBE a", c.Subscribe("a", on=False)),
        (b'LIST "" %', v.List(reference="", patterns=("%",))),
        (b"LSUB a/ *]", v.List(reference="a/", patterns=("*]",), is_lsub=True)),
        (
            b"STATUS x (UIDNEXT MESSAGES)",
            v.Status("x", (v.StatusItem.UIDNEXT, v.StatusItem.MESSAGES)),
        ),
        (b"EXPUNGE", c.Expunge(None)),
        (b"UID EXPUNGE 1,3:*", c.Expunge(SequenceSet(((1, 1), (3, STAR))))),
        (b"UNSELECT", c.Close(is_unselect=True)),
        (b"ID NIL", c.Id(())),
        (b'ID ("name" "x" "os" nil)', c.Id((("name", "x"), ("os", None)))),
        (b"ENABLE condstore X", c.Enable((b"CONDSTORE", b"X"))),
        (
            b"UID MOVE 5 x",
            c.Copy(numbers=SequenceSet(((5, 5),)), mailbox="x", is_uid=True, is_move=True),
        ),
        (
            b"STORE 1 (UNCHANGEDSINCE 9) -FLAGS.SILENT \\Seen $x",
            c.Store(
                numbers=SequenceSet(((1, 1),)),
                change=c.Change.REMOVE,
                flags=("\\Seen", "$x"),
                is_silent=True,
                is_uid=False,
                modifiers={b"UNCHANGEDSINCE": 9},
            ),
        ),
    ],
)
def test_a_command_is_read(octets: bytes, command: c.Command) -> None:
    assert read(octets) == command


@pytest.mark.parametrize(
    ("octets", "items"),
    [
        (b"ALL", (Item.FLAGS, Item.INTERNALDATE, Item.SIZE, Item.ENVELOPE)),
        (b"(uid Flags UID)", (Item.UID, Item.FLAGS)),
        (b"RFC822.HEADER", (Section(text=Text.HEADER, is_peek=True, label=b"RFC822.HEADER"),)),
        (b"BODY", (Item.BODY,)),
        (b"BODY[]<10.20>", (Section(partial=(10, 20), label=b"BODY[]"),)),
        (
            b"BODY.PEEK[1.22.MIME]",
            (Section(path=(1, 22), text=Text.MIME, is_peek=True, label=b"BODY[1.22.MIME]"),),
        ),
        (
            b'BODY[header.fields (To "X y")]',
            (
                Section(
                    text=Text.FIELDS,
                    fields=(b"To", b"X y"),
                    label=b'BODY[HEADER.FIELDS (To "X y")]',
                ),
            ),
        ),
    ],
)
def test_fetch_items_are_read(octets: bytes, items: tuple[object, ...]) -> None:
    command = read(b"FETCH 1 " + octets)

    assert isinstance(command, c.Fetch)
    assert command.items == items


@pytest.mark.parametrize(
    ("octets", "key"),
    [
        (b"ALL", k.Every()),
        (b"unseen", k.Flagged(1, is_set=False)),
        (b"2:* 7", k.And((_ := k.InSet(SequenceSet(((2, STAR),)), is_uid=False),
                          k.InSet(SequenceSet(((7, 7),)), is_uid=False)))),
        (b"NOT OR SEEN (DRAFT OLD)",
         k.Not(k.Or(k.Flagged(1, is_set=True),
                    k.And((k.Flagged(16, is_set=True), k.Recent(is_set=False)))))),
        (b"HEADER X-Y z", k.Contains(k.Where.HEADER, "z", "x-y")),
        (b'SENTSINCE "1-feb-1994"', k.Dated(k.Order.SINCE, date(1994, 2, 1), k.Which.SENT)),
        (b"CHARSET utf-8 SUBJECT {2+}\r\n\xc3\xa9", k.Contains(k.Where.SUBJECT, "é")),
        (b"OLDER 86400", k.Within(86400, is_older=True)),
        (b"SAVEDON 1-feb-1994", k.Dated(k.Order.ON, date(1994, 2, 1), k.Which.SAVED)),
        (b"NOT $", k.Not(k.InSet(SequenceSet((), is_saved=True), is_uid=False))),
        (b'MODSEQ "/flags/\\\\draft" all 620', k.ChangedSince(620)),
    ],
)  # fmt: skip
def test_search_keys_are_read(octets: bytes, key: k.Key) -> None:
    command = read(b"SEARCH " + octets)

    assert isinstance(command, f.Search)
    assert command.program.key == key


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"NOOP ", b"NOOP x", b"UID", b"UID NOOP", b"FETCH", b"FETCH 1", b"FETCH 1 ()",
        b"FETCH 1 (UID", b"FETCH 1 FOO", b"FETCH 1 BODY[", b"FETCH 1 BODY[1.]", b"FETCH 1 BODY[0]",
        b"FETCH 1 BODY[HEADER.FIELDS]", b"FETCH 1 BODY[HEADER.FIELDS ()]", b"FETCH 1 BODY[]<1>",
        b"FETCH 1 BODY[]<1.0>", b"FETCH 4294967296 UID", b"FETCH 1: UID", b"FETCH , UID",
        b"STORE 1 FLAGS (\\Recent)", b"STORE 1 FLAGS (\\Foo)", b"STORE 1 FLAG (\\Seen)",
        b"STORE 1 FLAGS (a(b)", b"SELECT", b"SELECT a b", b"SELECT &", b"SELECT (x)",
        b"LOGIN a", b'LOGIN "a b', b"LOGIN a {1}", b"LOGIN a {9+}\r\nb", b"LOGIN \xff b",
        b"LOGIN {1+}\r\n\x00 b", b"STATUS x (FOO)", b"APPEND x abc", b"ID (a b)", b"ENABLE",
        b'APPEND x "32-Feb-2003 04:05:06 +0200" {1}\r\na', b"SEARCH", b"SEARCH FOO", b"SEARCH (",
        b"SEARCH ()", b"SEARCH OR ALL", b"SEARCH NOT", b"SEARCH BEFORE 32-Jan-2000", b"SEARCH ON x",
        b"SEARCH CHARSET US-ASCII TEXT {1+}\r\n\xe9", b"SEARCH KEYWORD \\Seen", b"SEARCH MODSEQ x",
        b"SEARCH RETURN ALL", b"SEARCH RETURN (MIN MIN) ALL", b"SEARCH RETURN (FOO) ALL",
        b"SEARCH RETURN (ALL PARTIAL 1:2) ALL", b"SEARCH RETURN (PARTIAL 1:-2) ALL",
        b"SEARCH RETURN (PARTIAL 0:1) ALL", b"SORT () UTF-8 ALL", b"SORT (FOO) UTF-8 ALL",
        b"SORT (REVERSE) UTF-8 ALL", b"SORT (DATE) UTF-8", b"THREAD FOO UTF-8 ALL", b"SEARCH OLDER 0",
        b"COPY 1", b"RENAME a", b"AUTHENTICATE", b"AUTHENTICATE PLAIN ?",
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused_with_its_tag(octets: bytes) -> None:
    with pytest.raises(BadCommand) as refused:
        parse(b"t9 " + octets)

    assert refused.value.tag == b"t9"


@pytest.mark.parametrize("octets", [b"", b" NOOP", b"+ NOOP", b"a", b"(x) NOOP"])
def test_without_a_tag_there_is_none_to_answer_to(octets: bytes) -> None:
    with pytest.raises(BadCommand) as refused:
        parse(octets)

    assert refused.value.tag == (b"a" if octets == b"a" else b"*")


def test_search_is_nested_so_deep_and_no_deeper() -> None:
    assert isinstance(read(b"SEARCH " + b"(" * MAX_DEPTH + b"ALL" + b")" * MAX_DEPTH), f.Search)

    for octets in (b"(" * 10_000, b"NOT " * 10_000 + b"ALL", b"OR " * 10_000):
        with pytest.raises(BadSyntax, match="nested too deep"):
            read(b"SEARCH " + octets)


def test_an_unknown_charset_is_no_syntax_error() -> None:
    command = read(b"SEARCH CHARSET KOI8-R TEXT {1+}\r\n\xc1")

    assert isinstance(command, f.Search)
    assert command.program.charset == "KOI8-R"


@pytest.mark.parametrize(
    ("octets", "returns"),
    [
        (b"ALL", None),
        (b"RETURN () ALL", f.Returns(has_all=True)),
        (b"return (min COUNT save) ALL", f.Returns(has_min=True, has_count=True, saves=True)),
        (b"RETURN (PARTIAL -1:-100) ALL", f.Returns(partial=Partial(-1, -100))),
        (b"RETURN (UPDATE CONTEXT) ALL", f.Returns(updates=True, is_context=True)),
    ],
)
def test_result_options_are_read(octets: bytes, returns: f.Returns | None) -> None:
    command = read(b"UID SEARCH " + octets)

    assert isinstance(command, f.Search)
    assert command.program.returns == returns


@pytest.mark.parametrize(
    ("first", "last", "places"),
    [(1, 3, [0, 1, 2]), (3, 2, [1, 2]), (4, 9, [3, 4]), (6, 9, []), (-1, -2, [3, 4]),
     (-4, -9, [0, 1]), (-6, -9, []), (-5, -1, [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_a_page_is_cut_from_either_end(first: int, last: int, places: list[int]) -> None:
    assert list(range(5))[Partial(first, last).cut(5)] == places


def test_sort_and_thread_are_read() -> None:
    by_subject = f.Criterion(f.SortKey.SUBJECT, is_reverse=False)
    by_date = f.Criterion(f.SortKey.DATE, is_reverse=True)
    sort = read(b"SORT (SUBJECT REVERSE DATE) UTF-8 ALL")
    thread = read(b'UID THREAD references "us-ascii" SEEN')

    assert isinstance(sort, f.Sort)
    assert sort.order == (by_subject, by_date)
    assert isinstance(thread, f.Thread)
    assert thread.algorithm is f.Algorithm.REFERENCES
    assert thread.program.charset == "US-ASCII"


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(read(b"LOGIN anna secret"))
    assert "c2VjcmV0" not in repr(read(b"AUTHENTICATE PLAIN c2VjcmV0"))


@pytest.mark.parametrize(
    ("octets", "largest", "ranges"),
    [
        (b"1,2,3,7", 9, [(1, 3), (7, 7)]),
        (b"5:3,*", 9, [(3, 5), (9, 9)]),
        (b"12:*", 9, [(9, 12)]),
        (b"*", 0, []),
        (b"1:4,2:3,4:6", 9, [(1, 6)]),
    ],
)
def test_sets_become_ascending_ranges(
    octets: bytes, largest: int, ranges: list[tuple[int, int]]
) -> None:
    command = read(b"UID EXPUNGE " + octets)

    assert isinstance(command, c.Expunge)
    assert command.uids is not None
    assert command.uids.resolve(largest) == ranges


def test_sets_name_messages() -> None:
    numbers = SequenceSet(((2, 3), (9, STAR)))

    assert list(numbers.indexes_of_uids([1, 3, 5, 8])) == [1, 3]
    assert list(SequenceSet(((2, STAR),)).indexes_of_sequence(4)) == [1, 2, 3]
    assert list(SequenceSet(((1, STAR),)).indexes_of_sequence(0)) == []
    for wrong, count in ((SequenceSet(((5, 5),)), 4), (SequenceSet(((1, 1),)), 0)):
        with pytest.raises(BadSyntax):
            wrong.indexes_of_sequence(count)


def test_sets_are_written_short() -> None:
    assert write_set([1, 2, 3, 7, 9, 10]) == b"1:3,7,9:10"
