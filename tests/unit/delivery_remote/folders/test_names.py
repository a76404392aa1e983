"""Which folder is an address's: nothing leaves the root, whatever stands in an address."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.folders.names import NoFolder, from_line, parts_of
from posthouse.mail.address import Address, parse_address
from posthouse.mail.hops import BadHop, parse_hop


@pytest.mark.parametrize(
    ("path", "address", "folder"),
    [
        ("%d/%u", "Anna@Example.test", "example.test/anna"),
        ("home/%u/Maildir", "anna+lists@example.test", "home/anna+lists/Maildir"),
        ("%u@%d", '"a b"@example.test', "a b@example.test"),
        (".spool/%%%u", "anna@[192.0.2.1]", ".spool/%anna"),
        ("%d%d", "anna@a.test", "a.testa.test"),
        ("all", "anna@a.test", "all"),
        ("%u", '"%d"@a.test', "%d"),
    ],
)
def test_a_path_is_expanded(path: str, address: str, folder: str) -> None:
    assert "/".join(parts_of(path, parse_address(address))) == folder


@pytest.mark.parametrize(
    "local", ['".."', '"."', '"../x"', '"a/b"', '"/etc"', '""', '".hidden"', "a" * 300]
)
def test_an_address_that_is_no_name_has_no_folder(local: str) -> None:
    with pytest.raises(NoFolder):
        parts_of("%d/%u", Address(local, "a.test"))


def test_a_file_leaves_room_for_the_names_beside_it_a_folder_does_not() -> None:
    address = Address("a" * 213, "b" * 255)

    assert parts_of("%d/%u", address, 42) == (address.domain, address.local)
    with pytest.raises(NoFolder):
        parts_of("%d/%u", Address("a" * 214, "b.test"), 42)


def test_no_address_answers_for_a_name_that_is_a_mistake_of_the_route() -> None:
    assert parts_of("x" * 256, Address("anna", "b.test"), 42) == ("x" * 256,)


@given(st.text("%ud./abc", min_size=1, max_size=12), st.text(max_size=40), st.text(max_size=40))
def test_nothing_leaves_the_root(path: str, local: str, domain: str) -> None:
    try:
        hop = parse_hop(f"maildir:{path}")
        parts = parts_of(hop.path, Address(local, domain))
    except (BadHop, NoFolder):
        return
    assert len(parts) == len(hop.path.split("/"))
    assert not {"", ".", ".."} & set(parts)
    assert len(PurePosixPath(*parts).parts) == len(parts)


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        ("anna@a.test", b"From anna@a.test Fri Nov 20 01:02:03 2026\n"),
        ("", b"From MAILER-DAEMON Fri Nov 20 01:02:03 2026\n"),
        ('"a b"@a.test', b'From "a_b"@a.test Fri Nov 20 01:02:03 2026\n'),
    ],
)
def test_a_message_in_an_mbox_begins_with_its_sender_and_time(sender: str, line: bytes) -> None:
    assert from_line(sender, datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)) == line
