"""Passwords that cost no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.logins import light_argon2


@pytest.fixture
def light_hashes() -> Iterator[None]:
    """Make hashes light for a test: see `light_argon2`."""
    with light_argon2():
        yield
