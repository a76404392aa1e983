"""Our own rules, which come with the house."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("default.cf")


def default_rules() -> str:
    """Return them in SpamAssassin's language."""
    return _FILE.read_text(encoding="utf-8")
