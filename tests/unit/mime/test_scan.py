"""One scan: BODYSTRUCTURE, ENVELOPE and sections of messages of every shape."""

from __future__ import annotations

import tracemalloc

import pytest

from posthouse.mime import Pages, scan, unpack_parts
from posthouse.mime.pages import OVERLAP_OCTETS, PAGE_OCTETS
from posthouse.mime.structure import MAX_DEPTH, MAX_PARTS, read_tree


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def structure(text: str) -> bytes:
    return scan(crlf(text)).bodystructure


PLAIN = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d NIL NIL NIL NIL)'


def test_a_plain_message() -> None:
    summary = scan(crlf("Subject: x\n\none\ntwo\n"))

    assert summary.bodystructure == PLAIN % (10, 2)
    assert summary.header == b"Subject: x\r\n\r\n"


@pytest.mark.parametrize(
    ("octets", "header", "size"),
    [
        (b"", b"", 0),
        (b"\r\n", b"\r\n", 0),
        (b"\n", b"\n", 0),
        (b"\r\nbody", b"\r\n", 4),
        (b"Subject: x", b"Subject: x", 0),
        (b"Subject: x\r\n", b"Subject: x\r\n", 0),
        (b"Subject: x\n\nbare", b"Subject: x\n\n", 4),
        (b"Subject: x\r\n\nmixed", b"Subject: x\r\n\n", 5),
        (b"no field\r\n\r\nb", b"no field\r\n\r\n", 1),
        (b"A: \0\r\n\r\n\0", b"A: \0\r\n\r\n", 1),
        (b"A: b\r\n \r\n\r\nx", b"A: b\r\n \r\n\r\n", 1),
    ],
)
def test_where_the_header_ends(octets: bytes, header: bytes, size: int) -> None:
    summary = scan(octets)

    assert summary.header == header
    assert summary.bodystructure == PLAIN % (size, 0)


def test_every_body_field_is_shown() -> None:
    assert structure(
        'Content-Type: Text/HTML; Charset="UTF-8"; x=a\\b\n'
        'Content-ID: <a@b>\nContent-Description: says "hi"\n'
        "Content-Transfer-Encoding: BASE64\n"
        'Content-Disposition: Attachment; filename="a \\"b\\".html"\n'
        "Content-Language: en, de\nContent-Location: here\nContent-MD5: abc==\n\nAAAA\n"
    ) == (
        rb'("text" "html" ("charset" "UTF-8" "x" "a\\b") "<a@b>" "says \"hi\"" "base64" 6 1 "abc=="'
        rb' ("attachment" ("filename" "a \"b\".html")) ("en" "de") "here")'
    )


MIXED = """Content-Type: multipart/mixed; boundary=b

preamble
--b

first
--b
Content-Type: image/png
Content-Transfer-Encoding: base64

AAAA
--b--
epilogue
"""


def test_a_multipart() -> None:
    assert structure(MIXED) == (
        b"("
        + PLAIN % (5, 0)
        + b'("image" "png" NIL NIL NIL "base64" 4 NIL NIL NIL NIL)'
        + b' "mixed" ("boundary" "b") NIL NIL NIL)'
    )


def sections(text: str) -> dict[str, bytes]:
    """Return what stands in every section of the first two levels, by its name."""
    octets = crlf(text)
    parts = unpack_parts(scan(octets).parts)
    paths = [(), (1,), (2,), (3,), (1, 1), (1, 2), (2, 1), (2, 2), (2, 1, 1), (2, 1, 2)]
    found = {}
    for path in paths:
        for what in ("", "HEADER", "TEXT", "MIME"):
            place = parts.section(path, what)
            if place is not None:
                name = ".".join([*map(str, path), *([what] if what else [])])
                found[name] = octets[slice(*place)]
    return found


def test_the_sections_of_a_multipart() -> None:
    found = sections(MIXED)

    assert found["1"] == b"first"
    assert found["1.MIME"] == b"\r\n"
    assert found["2"] == b"AAAA"
    assert found["2.MIME"].startswith(b"Content-Type: image/png\r\n")
    assert found[""] == crlf(MIXED)
    assert found["HEADER"] + found["TEXT"] == found[""]
    assert found.keys() == {"", "HEADER", "TEXT", "1", "1.MIME", "2", "2.MIME"}


def test_the_sections_of_a_message_that_is_no_multipart() -> None:
    found = sections("Subject: x\n\nbody\n")

    assert found["1"] == found["TEXT"] == b"body\r\n"
    assert found["1.MIME"] == found["HEADER"] == b"Subject: x\r\n\r\n"
    assert "1.HEADER" not in found
    assert "1.1" not in found
    assert "2" not in found


FORWARDED = """Content-Type: multipart/mixed; boundary=b

--b

note
--b
Content-Type: message/rfc822

From: bert@example.test
Subject: inner
Content-Type: multipart/alternative; boundary=c

--c

plain
--c
Content-Type: text/html

<p>
--c--

--b--
"""


def test_the_sections_of_a_message_in_a_message() -> None:
    found = sections(FORWARDED)

    assert found["2.HEADER"].startswith(b"From: bert@example.test\r\n")
    assert found["2.HEADER"] + found["2.TEXT"] == found["2"]
    assert found["2.MIME"] == b"Content-Type: message/rfc822\r\n\r\n"
    assert found["2.1"] == b"plain"
    assert found["2.2"] == b"<p>"
    assert "2.1.1" not in found
    assert "1.HEADER" not in found


def test_the_structure_of_a_message_in_a_message() -> None:
    bert = b'((NIL NIL "bert" "example.test"))'
    assert structure(FORWARDED) == (
        b"("
        + PLAIN % (4, 0)
        + b'("message" "rfc822" NIL NIL NIL "7bit" 150 (NIL "inner" %s %s %s NIL NIL NIL NIL NIL) ('
        % (bert, bert, bert)
        + PLAIN % (5, 0)
        + b'("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL)'
        + b' "alternative" ("boundary" "c") NIL NIL NIL) 12 NIL NIL NIL NIL)'
        + b' "mixed" ("boundary" "b") NIL NIL NIL)'
    )


def test_a_message_in_a_message_without_parts_has_part_1() -> None:
    text = (
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n"
        "Content-Type: message/rfc822\n\nSubject: s\n\ninner\n--b--\n"
    )
    found = sections(text)

    assert found["2.1"] == found["2.TEXT"] == b"inner"
    assert found["2.1.MIME"] == found["2.HEADER"] == b"Subject: s\r\n\r\n"


def test_parts_of_a_digest_are_messages_by_default() -> None:
    tree = read_tree(
        crlf(
            "Content-Type: multipart/digest; boundary=b\n\n"
            "--b\n\nSubject: one\n\n1\n--b\nContent-Type: text/plain\n\n2\n--b--\n"
        )
    )

    assert [part.type.value for part in tree.children] == [b"message/rfc822", b"text/plain"]
    assert tree.children[0].children[0].fields[b"subject"] == [b"one"]


@pytest.mark.parametrize(
    ("what", "body", "found"),
    [
        ("no close delimiter", "--b\n\none\n--b\n\ntwo\n", ["one", "two\n"]),
        ("white space behind a delimiter", "--b  \n\none\n--b-- \t\n", ["one"]),
        ("a longer line is no delimiter", "--b\n\none\n--bc\n--b--\n", ["one\n--bc"]),
        ("a delimiter within a line", "--b\n\none --b\n--b--\n", ["one --b"]),
        ("nothing between delimiters", "--b\n--b\n--b--\n", ["", ""]),
        ("a part without body", "--b\nX: y\n--b--\n", [""]),
        ("a part with an empty body", "--b\nX: y\n\n--b--\n", [""]),
        ("parts behind the close delimiter", "--b\n\none\n--b--\n--b\n\ntwo\n", ["one"]),
        ("no line end at the end", "--b\n\none\n--b--", ["one"]),
        ("a lone delimiter at the end", "--b", [""]),
    ],
)
def test_the_edges_of_parts(what: str, body: str, found: list[str]) -> None:
    octets = crlf(f"Content-Type: multipart/mixed; boundary=b\n\n{body}")
    tree = read_tree(octets)

    bodies = [octets[part.body : part.end] for part in tree.children]
    assert bodies == [crlf(text) for text in found], what


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: multipart/mixed",
        "Content-Type: multipart/mixed; boundary=",
        'Content-Type: multipart/mixed; boundary=""',
        "Content-Type: multipart/mixed; boundary=other",
    ],
)
def test_a_multipart_without_parts_shows_its_body_as_text(header: str) -> None:
    octets = crlf(f"{header}\n\nhello\n")
    parts = unpack_parts(scan(octets).parts)

    assert scan(octets).bodystructure.startswith(b"(" + PLAIN % (7, 1))
    place = parts.section((1,))
    assert place is not None
    assert octets[slice(*place)] == b"hello\r\n"


@pytest.mark.parametrize(
    ("body", "shown"), [("--b--\n", b""), ("hello\n--b--\n", b"hello"), ("\n--b--\nend\n", b"")]
)
def test_a_multipart_that_is_closed_before_its_first_part_shows_what_stands_before(
    body: str, shown: bytes
) -> None:
    octets = crlf(f"Content-Type: multipart/mixed; boundary=b\n\n{body}")

    parts = unpack_parts(scan(octets).parts)

    place = parts.section((1,))
    assert place is not None
    assert octets[slice(*place)] == shown
    assert parts.section((2,)) is None


def test_nested_multiparts_end_with_their_parents_delimiter() -> None:
    octets = crlf(
        "Content-Type: multipart/mixed; boundary=outer\n\n--outer\n"
        "Content-Type: multipart/alternative; boundary=inner\n\n--inner\n\nnever closed\n"
        "--outer\n\nnext\n--outer--\n"
    )
    tree = read_tree(octets)

    first, second = tree.children
    assert octets[first.children[0].body : first.children[0].end] == b"never closed"
    assert octets[second.body : second.end] == b"next"
    assert first.end <= second.start


def test_boundaries_that_begin_alike_are_kept_apart() -> None:
    octets = crlf(
        "Content-Type: multipart/mixed; boundary=b1\n\n--b1\n"
        "Content-Type: multipart/mixed; boundary=b10\n\n--b10\n\ninner\n--b10--\n--b1\n\nouter\n--b1--\n"
    )
    tree = read_tree(octets)

    assert len(tree.children) == 2
    assert len(tree.children[0].children) == 1


def test_of_two_multiparts_with_one_boundary_the_inner_gets_the_delimiters_until_it_is_closed() -> (
    None
):
    tree = read_tree(
        crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n"
            "--b\n\nz\n--b--\n"
        )
    )

    inner, last = tree.children
    assert len(inner.children) == 2
    assert last.children == []


def test_boundaries_of_rfc_2231_are_understood() -> None:
    tree = read_tree(
        crlf(
            "Content-Type: multipart/mixed; boundary*0*=us-ascii''a%20;\n boundary*1=b\n\n"
            "--a b\n\nx\n--a b--\n"
        )
    )

    assert len(tree.children) == 1
    assert tree.type.parameters == ((b"boundary*0*", b"us-ascii''a%20"), (b"boundary*1", b"b"))


def test_bare_line_feeds_make_the_same_tree() -> None:
    tree = read_tree(crlf(FORWARDED).replace(b"\r\n", b"\n"))

    assert [part.type.value for part in tree.children] == [b"text/plain", b"message/rfc822"]
    assert len(tree.children[1].children[0].children) == 2


def test_what_is_nested_too_deeply_is_opaque() -> None:
    text = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(MAX_DEPTH + 5)
    )
    shown = scan(crlf(text + "\ndeep\n")).bodystructure

    assert shown.count(b"application") == 1
    assert shown.count(b'"mixed"') == MAX_DEPTH


def test_messages_nested_too_deeply_are_opaque() -> None:
    text = "Content-Type: message/rfc822\n\n" * (MAX_DEPTH + 5)
    shown = scan(crlf(text + "\ndeep\n")).bodystructure

    assert shown.count(b"rfc822") == MAX_DEPTH
    assert shown.count(b"octet-stream") == 1


def test_more_parts_than_anybody_reads_are_one_part() -> None:
    octets = crlf("Content-Type: multipart/mixed; boundary=b\n\n") + b"--b\r\n\r\nx\r\n" * 20_000
    tree = read_tree(octets)

    assert len(tree.children) == MAX_PARTS - 1
    assert tree.children[-1].type.value == b"application/octet-stream"
    assert tree.children[-1].end == len(octets)


def test_a_large_message_is_scanned_in_the_memory_of_a_few_pages() -> None:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\n" + b"0123456789abcde\r\n" * 200_000
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 3 + b"--b--\r\n"
    largest = 0

    def read(start: int, end: int) -> bytes:
        nonlocal largest
        largest = max(largest, end - start)
        return octets[start:end]

    tracemalloc.start()
    try:
        summary = scan(Pages(len(octets), read))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert summary == scan(octets)
    assert largest == PAGE_OCTETS + OVERLAP_OCTETS
    assert peak < 4 * PAGE_OCTETS < len(octets) / 8
