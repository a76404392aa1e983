"""How many messages a sequence set can mean: whether a thread looks them up."""

from __future__ import annotations

import pytest

from imap_gateway.protocol.cursor import Cursor
from imap_gateway.protocol.sequences import sequence_set


@pytest.mark.parametrize(
    ("written", "most"),
    [
        ("1", 1),
        ("1,3,5", 3),
        ("2:4,9:7", 6),
        ("1:*", 1000),
        ("1:10,*", 1000),
        ("1:4000000000", 1000),
    ],
)
def test_what_a_set_can_mean_at_most(written: str, most: int) -> None:
    assert sequence_set(Cursor(written.encode())).at_most(1000) == most
