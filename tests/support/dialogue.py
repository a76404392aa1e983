"""Play a written conversation with a line server; an error names the line of the script.

    # comment
    C: a1 NOOP              the client writes this and CRLF
    C! \\x00half a line\\n   the client writes these octets, Python escapes, no CRLF of ours
    C: [starts TLS]         the client begins the TLS handshake
    S: * OK …               the server's next line must match; `…` is any text
    S* .                    the server's lines are skipped up to one that matches
    S: [closes]             the server has closed the connection

``$name`` stands for the keyword argument of that name, everywhere.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from string import Template

_ANSWER_SECONDS = 10.0
_SKIPPED_LINES_MAX = 10_000


async def play(
    script: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    tls: ssl.SSLContext | None = None,
    **words: str,
) -> None:
    """Play ``script`` with the server behind the streams; `AssertionError` where it departs."""
    for number, line in enumerate(Template(script).safe_substitute(words).splitlines(), 1):
        who, text = line[:2], line[3:]
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if who in {"C:", "C!"}:
                await _say(who, text, writer, tls)
            elif who in {"S:", "S*"}:
                await _hear(who, text, reader)
            else:
                raise AssertionError("neither C nor S")
        except (AssertionError, OSError, TimeoutError) as fault:
            raise AssertionError(f"line {number}: {line!r}: {fault!r}") from fault


async def _say(
    who: str, text: str, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
) -> None:
    if text == "[starts TLS]":
        assert tls is not None, "play() was given no TLS context"
        await writer.start_tls(tls, server_hostname="localhost")
        return
    octets = text.encode() + b"\r\n"
    if who == "C!":
        octets = (
            text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
        )
    writer.write(octets)
    await writer.drain()


async def _hear(who: str, text: str, reader: asyncio.StreamReader) -> None:
    pattern = re.compile(".*".join(map(re.escape, text.split("…"))), re.DOTALL)
    octets = b""
    for _ in range(_SKIPPED_LINES_MAX if who == "S*" else 1):
        async with asyncio.timeout(_ANSWER_SECONDS):
            octets = await reader.readline()
        if text == "[closes]":
            assert octets == b"", f"the server said {octets!r}"
            return
        assert octets.endswith(b"\r\n"), f"the server said {octets!r}"
        if pattern.fullmatch(octets[:-2].decode("utf-8", "backslashreplace")):
            return
    raise AssertionError(f"the server said {octets!r}")
