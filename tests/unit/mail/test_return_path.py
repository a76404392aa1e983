"""Return paths that nobody can make up, read back whatever servers do to their case."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import MAX_LOCAL_PART_OCTETS, Address, parse_address
from posthouse.mail.ids import day_of
from posthouse.mail.return_path import (
    VALID_DAYS,
    Returned,
    ReturnPaths,
    looks_signed,
    needs_return_path,
)

PATHS = ReturnPaths(b"a secret that all pods share")
ANNA = Address("anna", "example.test")
MAIL = UUID("019ab3a4-0000-7000-8000-000000000002")
TODAY = day_of(MAIL)
locals_ = st.from_regex(r"[a-z0-9]{1,12}(?:[.+=-][a-z0-9]{1,8})?", fullmatch=True)


def _read(text: str | None, days: int = 0, paths: ReturnPaths = PATHS) -> Returned | None:
    assert text is not None
    return paths.read(parse_address(text), TODAY + timedelta(days=days))


def test_a_signed_return_path_names_its_message_below_the_senders_own_address() -> None:
    path = PATHS.signed(ANNA, MAIL)

    assert path is not None
    assert path.startswith("anna+")
    assert path.endswith("@example.test")
    assert looks_signed(path)
    assert _read(path) == Returned(owner="anna@example.test", id=MAIL)


def test_verp_names_the_recipient_as_postfix_writes_it() -> None:
    path = PATHS.verp(ANNA, MAIL, 3, "bert@far.test")

    assert path is not None
    assert path.endswith("+bert=far.test@example.test")
    assert _read(path) == Returned(owner="anna@example.test", id=MAIL, recipient="bert@far.test")


@pytest.mark.parametrize(
    "recipient",
    ["somebody.with.a.long.name@a-department.of.far.test", '"b b"@far.test', "jörg@far.test"],
)
def test_a_recipient_that_does_not_fit_is_told_by_its_number(recipient: str) -> None:
    path = PATHS.verp(ANNA, MAIL, 3, recipient)

    assert path is not None
    assert path.isascii()
    assert _read(path) == Returned(owner="anna@example.test", id=MAIL, n=3)


def test_other_delimiters_are_read_by_who_has_not_been_told_of_them() -> None:
    path = ReturnPaths(PATHS.secret, "-=").verp(ANNA, MAIL, 3, "bert@far.test")

    assert path is not None
    assert path.startswith("anna-")
    assert _read(path) == Returned(owner="anna@example.test", id=MAIL, recipient="bert@far.test")


def test_case_is_not_signed() -> None:
    path = PATHS.verp(ANNA, MAIL, 3, "bert@far.test")

    assert path is not None
    found = _read(path.upper())
    assert found is not None
    assert (found.owner.lower(), found.id) == ("anna@example.test", MAIL)


def test_a_return_path_ends_and_has_a_beginning() -> None:
    path = PATHS.signed(ANNA, MAIL)

    assert _read(path, VALID_DAYS) is not None
    assert _read(path, VALID_DAYS + 1) is None
    assert _read(path, -2) is None


def test_another_secret_is_nobody() -> None:
    assert _read(PATHS.signed(ANNA, MAIL), paths=ReturnPaths(b"another secret altogether")) is None


@pytest.mark.parametrize("local", ["a" * 30, '"an na"'])
def test_a_sender_that_is_too_long_or_quoted_keeps_its_own(local: str) -> None:
    assert PATHS.signed(Address(local, "example.test"), MAIL) is None
    assert PATHS.verp(Address(local, "example.test"), MAIL, 0, "b@far.test") is None


@pytest.mark.parametrize(
    ("sender", "needs"),
    [("", False), ("SRS0=x=y=far.test=b@example.test", False), ("anna@example.test", True)],
)
def test_no_sender_and_a_rewritten_one_have_no_return_path(sender: str, needs: object) -> None:
    assert needs_return_path(sender) is needs


@given(
    locals_, locals_, st.from_regex(r"[a-z][a-z-]{0,5}[a-z]\.te-st", fullmatch=True),
    st.integers(0, 99_999), st.sampled_from(["+=", "-=", "-+", "=+"]),
)  # fmt: skip
def test_whatever_fits_is_read_back(
    local: str, other: str, domain: str, n: int, delimiters: str
) -> None:
    recipient = f"{other}@{domain}"
    paths = ReturnPaths(PATHS.secret, delimiters)

    path = paths.verp(Address(local, "example.test"), MAIL, n, recipient)

    if path is not None:
        assert len(path.rpartition("@")[0]) <= MAX_LOCAL_PART_OCTETS
        found = _read(path)
        assert found is not None
        assert found.owner == f"{local}@example.test"
        assert found.recipient == recipient or found.n == n


@given(st.data())
def test_no_other_character_anywhere_is_ours(data: st.DataObject) -> None:
    path = PATHS.verp(ANNA, MAIL, 3, "bert@far.test")
    assert path is not None
    at = data.draw(st.integers(0, len(path.rpartition("@")[0]) - 1))
    other = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz234567+=."))
    forged = path[:at] + other + path[at + 1 :]

    try:
        address = parse_address(forged)
    except ValueError:
        return
    assert PATHS.read(address, TODAY) is None or forged == path


@pytest.mark.parametrize("letter", ["\u017f", "\u212a", "\u0130"])
def test_what_folds_to_a_letter_is_none(letter: str) -> None:
    path = PATHS.signed(ANNA, MAIL)
    assert path is not None
    for at in range(len("anna+"), path.index("@")):
        local = path[:at] + letter + path[at + 1 : path.index("@")]

        assert PATHS.read(Address(local, "example.test"), TODAY) is None


@given(st.from_regex(r"(?i)\A[a-z]{1,3}[-+=][a-z2-7]{34}([-+=].{0,9})?\Z"))
def test_what_looks_like_a_return_path_is_read_or_not_ours(text: str) -> None:
    assert PATHS.read(Address(text, "example.test"), TODAY) is None


@given(st.text(max_size=80))
def test_any_local_part_is_read_or_not_ours(text: str) -> None:
    assert PATHS.read(Address(text, "example.test"), TODAY) is None
