"""docs/proof-of-relaying.md names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs/proof-of-relaying.md").read_text())


def test_every_proof_names_a_test() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if f"def {name}(" not in (ROOT / "tests" / file).read_text()
    ]

    assert len(NAMED) > 20
    assert missing == []
