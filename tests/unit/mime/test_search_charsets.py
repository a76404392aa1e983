"""Words in all charsets and encodings are found, whatever form they are asked in."""

from __future__ import annotations

import unicodedata

import pytest

from posthouse.mime import Parts, scan, unpack_parts
from posthouse.mime.folding import fold
from posthouse.mime.indexed import gram_keys, header_text, wanted_keys
from posthouse.mime.text import search_text
from support.golden_charsets import CASES, FORMS, letter


def everything(octets: bytes) -> str:
    summary = scan(octets)
    header = header_text(1, summary.header).header
    return f"{header}\n{search_text(octets, unpack_parts(summary.parts))}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("charset", "octets", "text"), CASES)
def test_a_word_is_found(form: str, charset: str, octets: bytes, text: str) -> None:
    found = everything(letter(form, charset, octets))

    for asked in (text, text.upper(), unicodedata.normalize("NFD", text), text[1:]):
        assert fold(asked) in found
        assert set(wanted_keys(1, fold(asked))) <= set(gram_keys(1, found) or ())


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (b"Subject: =?utf-8?B?5Lya6K0=?= =?UTF-8?B?sA==?=", "会議"),  # cut in a character
        (b"Subject: =?utf-8?q?=E4=BC?=\r\n =?utf-8?q?=9A=E8=AD=B0?=", "会議"),
        (b"Subject: =?iso-2022-jp?b?GyRCMnEbKEI=?= =?iso-2022-jp?b?GyRCNUQbKEI=?=", "会議"),
        (b"Subject: =?koi8-r?q?=D7?= =?utf-8?q?=C3=BC?=", "вü"),
        (b"Subject: \x1b$B2q5D\x1b(B", "会議"),
        (b"Content-Type: text/plain; charset=koi8-r\r\nSubject: \xd7\xd3\xd4\xd2\xc5\xde\xc1", "встреча"),
        (b"Content-Type: text/plain; charset=koi8-r\r\nSubject: \xd0\xb2", "в"),
        (b"X-Any-Thing: =?utf-8?q?gr=C3=B6=C3=9Fer?=", "größer"),
        (b"Subject: two\r\n  words", "two words"),
        (b"Subject: two\r\n\twords", "two words"),
        (b"Content-Disposition: attachment; filename*0*=utf-8''%E4%BC%9A; filename*1*=%E8%AD%B0.pdf",
         "会議.pdf"),
        (b"Content-Type: a/b; name*0=long; name*1=name", "longname"),
        (b'Content-Type: a/b; name="=?utf-8?b?5Lya6K2w?="', "会議"),
        (b"Subject: D\xc2\xadampf\xe2\x80\x8bschiff", "Dampfschiff"),
    ],
)  # fmt: skip
def test_fields_as_mailers_write_them(field: bytes, text: str) -> None:
    assert fold(text) in header_text(1, field + b"\r\n\r\n").header


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("Donau<b>dampf</b>schiff", "Donaudampfschiff"),
        ("<span style='x'>D</span>onau", "Donau"),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br/>two", "one two"),
        ("<big>one</big>two", "onetwo"),
        ("<bigger>one</bigger>two", "one two"),
        ("Gr&ouml;&szlig;e &#8364; &#x20ac;", "Größe € €"),
        ("a&shy;b", "ab"),
        ("a &lt;b&gt; c", "a <b> c"),
        ("x<style>no</style><script>no</script><!--no-->y", "x y"),
        ("a &nbsp; b", "a b"),
    ],
)
def test_pages(page: str, text: str) -> None:
    shown = search_text(*_parsed(f"Content-Type: text/html; charset=utf-8\r\n\r\n{page}\r\n"))

    assert fold(text) in shown
    assert "no" not in shown.replace("donau", "").replace("not", "")


@pytest.mark.parametrize(
    ("parameters", "text", "found"),
    [
        ("", "a line \r\nthat goes on", "line that goes"),
        ("", "a hard line\r\nthat goes on", "line that goes"),
        ("; format=flowed", "> quoted \r\n> further", "quoted further"),
        ("; format=flowed; delsp=yes", "会 \r\n議", "会議"),
        ("; format=flowed; delsp=yes", "> Donau \r\n> dampf", "Donaudampf"),
    ],
)
def test_lines_that_flow(parameters: str, text: str, found: str) -> None:
    shown = search_text(
        *_parsed(f"Content-Type: text/plain; charset=utf-8{parameters}\r\n\r\n{text}\r\n")
    )

    assert fold(found) in shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("Müll", "Mu\u0308ll"),
        ("ﾃﾚﾋﾞ", "テレビ"),
        ("テレビ", "テレヒ\u3099"),
        ("ＡＢＣ", "abc"),
        ("a \t\r\n b", "a b"),
        ("\u3000x", " x"),
        ("ΌΣΟΣ", "όσος"),
        ("İ", "i\u0307"),
    ],
)
def test_what_is_equal_to_a_reader(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_octets_that_are_cut_off_cost_no_more_than_themselves() -> None:
    whole = "Größe und Menge für München".encode()
    for charset, octets in (
        ("utf-8", whole + b"\xc3"),
        ("gb18030", "会议会议会议".encode("gb18030") + b"\x81"),
    ):
        text = everything(letter("body", charset, octets))
        assert fold({"utf-8": "Größe"}.get(charset, "会议会议")) in text


def _parsed(octets: str) -> tuple[bytes, Parts]:
    letter = octets.encode()
    return letter, unpack_parts(scan(letter).parts)
