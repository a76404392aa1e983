"""ENVELOPE and BODYSTRUCTURE beside Debian's Dovecot, on CPython's own email test data.

What differs stands in docs/bodystructure.md, one by one; a difference more or less fails this test.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.mime import scan
from support.dovecot import PASSWORD, dovecot
from support.imap import User
from support.letters import cpython_letters, on_the_wire

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).parents[3] / "docs" / "bodystructure.md"
ANNA = "anna@old.test"
LETTERS = {path.name: on_the_wire(path.read_bytes()) for path in cpython_letters()}
_ROW = re.compile(r"^\| (msg_\d+\.txt) \| (ENVELOPE|BODYSTRUCTURE) \|", re.MULTILINE)


@pytest.fixture
async def reader() -> AsyncIterator[User]:
    """A client of Dovecot with an open, empty INBOX."""
    async with dovecot({ANNA: ""}, has_readers=True) as store:
        user = User(*await asyncio.open_connection("127.0.0.1", store.imap))
        await user.hear()
        assert (await user.say(f"LOGIN {ANNA} {PASSWORD}"))[-1].startswith(b"OK")
        await user.say("SELECT INBOX")
        yield user
        user.close()


async def test_all_but_the_documented_differences_are_equal(reader: User) -> None:
    differences = set()
    for name, letter in LETTERS.items():
        assert (await reader.append("INBOX", letter)).startswith(b"OK")
        told = await reader.say("FETCH * (ENVELOPE BODYSTRUCTURE)")
        [fetched] = [line for line in told if b" FETCH (ENVELOPE " in line]
        envelope, structure = fetched[:-1].partition(b"(ENVELOPE ")[2].split(b" BODYSTRUCTURE ", 1)

        ours = scan(letter)

        if ours.envelope != envelope:
            differences.add((name, "ENVELOPE"))
        if ours.bodystructure != structure:
            differences.add((name, "BODYSTRUCTURE"))
    assert differences == set(_ROW.findall(DOCUMENT.read_text()))
