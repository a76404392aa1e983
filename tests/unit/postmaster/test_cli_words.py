"""What the command line makes of words and values."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from postmaster.cli import directory
from postmaster.cli.client import find_stack, path
from postmaster.cli.failure import Failure
from postmaster.cli.imports import read_rows
from postmaster.cli.letters import FOUND_COLUMNS
from postmaster.cli.output import listing, moment, octets, plain


@pytest.fixture(autouse=True)
def _no_stack_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTHOUSE_API_URL", "POSTHOUSE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**5, "5120.0 TiB")],
)
def test_a_size_is_shown_in_the_unit_that_reads_best(value: int | None, text: str) -> None:
    assert octets(value) == text


def test_cells_read_as_words() -> None:
    assert [plain(value) for value in (None, True, False, ["a", "b"], 7)] == [
        "", "yes", "no", "a, b", "7",
    ]  # fmt: skip
    assert moment("2026-11-22T01:02:03.456789Z") == "2026-11-22 01:02:03"
    assert not moment(None)


def test_each_part_of_a_path_is_quoted_whole() -> None:
    assert path("accounts", "a/b?c@x.test") == "/api/v1/accounts/a%2Fb%3Fc@x.test"


def test_what_came_from_outside_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    listing([{"a": "[red]x[/red]"}], [("A", "a", plain)], as_json=False, empty="")

    assert "[red]x[/red]" in capsys.readouterr().out


def test_the_environment_wins_over_the_demo_and_half_of_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "demo.json"
    demo.write_text(json.dumps({"api": {"url": "http://demo", "token": "t"}}))
    assert find_stack(demo).url == "http://demo"

    monkeypatch.setenv("POSTHOUSE_API_URL", "http://real")
    with pytest.raises(Failure, match="both"):
        find_stack(demo)
    monkeypatch.setenv("POSTHOUSE_API_TOKEN", "secret")
    found = find_stack(demo)

    assert found.url == "http://real"
    assert "secret" not in repr(found)


@pytest.mark.parametrize("text", ["", "[]", '{"api": {}}', '{"api": {"url": "http://x"}}'])
def test_a_demo_file_that_names_no_api_is_refused(tmp_path: Path, text: str) -> None:
    demo = tmp_path / "demo.json"
    demo.write_text(text)

    with pytest.raises(Failure, match="does not name the API"):
        find_stack(demo)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"a@b.test", "1 fields"),
        (b"a@b.test,x,y", "3 fields"),
        (b'a@b.test,"x', "not CSV"),
        (b'"a"@b.test,x', "not CSV"),
        (b"a@b.test,\xff", "not UTF-8"),
    ],
)
def test_a_line_that_is_no_account_is_told_and_the_next_is_read(
    tmp_path: Path, line: bytes, words: str
) -> None:
    file = tmp_path / "accounts.csv"
    file.write_bytes(line + b"\r\nb@b.test,y\r\n")

    (first, reason), second = read_rows(file)

    assert first == 1
    assert isinstance(reason, str)
    assert words in reason
    assert second == (2, {"address": "b@b.test", "password": "y"})


def test_a_byte_order_mark_and_a_heading_are_no_account(tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_bytes(b"\xef\xbb\xbfaddress,password\r\na@b.test,x\r\n")

    assert list(read_rows(file)) == [(2, {"address": "a@b.test", "password": "x"})]


def test_a_password_from_stdin_is_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" spaces stay \r\nnot this\n"))

    assert directory.read_password(from_stdin=True) == " spaces stay "


def test_an_id_is_never_broken_and_the_message_id_goes_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = "0192f3a4-0000-7000-8000-0123456789ab"
    row = {
        "id": ident,
        "accepted_at": "2026-11-22T01:02:03.456789Z",
        "sender": "anna@example.test",
        "recipients": ["bert@example.test"],
        "message_id": "<0123456789.0123456789.0123456789@example.test>",
    }

    for width in ("80", "110", "200"):
        monkeypatch.setenv("COLUMNS", width)
        listing([row], FOUND_COLUMNS, as_json=False, empty="")
        out = capsys.readouterr().out
        assert ident in out
        assert "2026-11-22 01:02:03" in out
        assert "bert@example.test" in out
        assert ("Message-ID" in out) == (width == "200")
