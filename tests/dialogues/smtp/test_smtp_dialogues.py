"""Written conversations with the SMTP server; each file is one, ``# port:`` says where."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from support.dialogue import play
from support.ingress import Ingress

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
WORDS = {
    "long": "NOOP " + "x" * 5000,
    "nonsense": "nonsense\\r\\n" * 30,
    "endless": "x" * 2_500_000,
    "answer": "A" * 12_288,
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
async def test_the_conversation_goes_as_written(
    path: Path, ingress: Ingress, tls: ssl.SSLContext
) -> None:
    script = path.read_text()
    port = re.search(r"^# port: (\w+)$", script, re.MULTILINE)

    reader, writer = await ingress.connect(port[1] if port else "mx", tls)
    try:
        await play(script, reader, writer, tls=tls, **WORDS)
    finally:
        writer.close()
