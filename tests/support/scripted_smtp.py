"""An SMTP server that says what a test tells it to, however wrong that is.

Replies are looked up by the first word of the command (``connect`` and ``.`` are the greeting and
the final dot) in a dict; a value is one reply or a list of which the last repeats. Beside text a
reply may be one of the deeds ``DROP`` (cut the connection), ``HANG`` (never answer), ``TLS``
(220 and the handshake), ``JUNK_TLS`` (220 and garbage), ``INJECT`` (220 and plain text behind it).

BDAT is understood (``BDAT`` and ``LAST`` are the words of its replies). After ``LHLO`` it speaks LMTP:
the dot, or the last chunk, is answered once for each recipient that was accepted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

DROP, HANG, TLS, JUNK_TLS, INJECT = "DROP", "HANG", "TLS", "JUNK_TLS", "INJECT"
Said: TypeAlias = str | Sequence[str]

POLITE: Mapping[str, Said] = {
    "connect": "220 peer.test ESMTP",
    "EHLO": "250-peer.test\n250-PIPELINING\n250-SIZE 1000000\n250 8BITMIME",
    "HELO": "250 peer.test",
    "LHLO": "250-peer.test\n250-PIPELINING\n250 8BITMIME",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "BDAT": "250 2.0.0 go on",
    "LAST": "250 2.0.0 taken",
    ".": "250 2.0.0 taken",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": TLS,
    "AUTH": "235 2.7.0 welcome",
}


@dataclass
class Peer:
    """What the server heard.

    Attributes:
        port: Where it listens.
        host: The address it listens on.
        commands: All lines outside DATA, in order, of all connections.
        messages: The octets after 354 up to the dot, as they came on the wire; or the chunks.
        accepted: Those of them that were answered 2yz.
        connections: How many there were.
        encrypted: How many of them began TLS.
        open: How many are open.
        most_open: The most there were at once.
        quiet: Set while none is open.
        before: What to await before a word is answered; ``content`` stands for what follows the
            first line of a message.
    """

    replies: dict[str, list[str]]
    tls: ssl.SSLContext | None = None
    port: int = 0
    host: str = "127.0.0.1"
    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    connections: int = 0
    encrypted: int = 0
    open: int = 0
    most_open: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    before: dict[str, Callable[[], Awaitable[object]]] = field(default_factory=dict)

    def say(self, **said: Said) -> None:
        """Change what is answered from now on."""
        for word, value in said.items():
            self.replies[word] = [value] if isinstance(value, str) else list(value)

    def next_reply(self, word: str) -> str:
        replies = self.replies.get(word, ["502 5.5.1 what?"])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.quiet.clear()
        self.most_open = max(self.most_open, self.open)
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            if not self.open:
                self.quiet.set()
            writer.close()


class _Cut(ConnectionError):
    """The connection is to be cut."""


class _Conversation:
    def __init__(
        self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer
        self.is_lmtp = False
        self.recipients = 0  # accepted in this transaction
        self.chunks = b""

    async def run(self) -> None:
        await self.reply("connect")
        while line := await self.reader.readline():
            command = line.decode().rstrip("\r\n")
            self.peer.commands.append(command)
            word = command.partition(" ")[0].upper()
            if word == "BDAT":
                await self.chunk(command.split(" "))
                continue
            said = await self.reply(word)
            if word == "QUIT":
                return
            self.note(word, said)
            if word == "DATA" and said.startswith("354"):
                await self.message()

    def note(self, word: str, said: str) -> None:
        """Keep what the words that follow depend on."""
        self.is_lmtp = self.is_lmtp or word == "LHLO"
        if word in {"MAIL", "RSET"}:
            self.recipients, self.chunks = 0, b""
        if word == "RCPT" and said.startswith("2"):
            self.recipients += 1

    async def chunk(self, words: Sequence[str]) -> None:
        self.chunks += await self.reader.readexactly(int(words[1]))
        is_last = words[-1].upper() == "LAST"
        if is_last:
            self.peer.messages.append(self.chunks)
        for _ in range(self.recipients if self.is_lmtp and is_last else 1):
            said = await self.reply("LAST" if is_last else "BDAT")
            if is_last and said.startswith("2"):
                self.peer.accepted.append(self.chunks)

    async def message(self) -> None:
        lines: list[bytes] = []
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line)
            if len(lines) == 1 and "content" in self.peer.before:
                await self.peer.before["content"]()
        octets = b"".join(lines)
        self.peer.messages.append(octets)
        for _ in range(self.recipients if self.is_lmtp else 1):
            said = await self.reply(".")
            if said.startswith("2"):
                self.peer.accepted.append(octets)

    async def reply(self, word: str) -> str:
        if word in self.peer.before:
            await self.peer.before[word]()
        said = self.peer.next_reply(word)
        if said == HANG:
            await self.reader.read()
            raise _Cut
        if said == DROP:
            raise _Cut
        if said in {TLS, JUNK_TLS, INJECT}:
            await self.deed(said)
            return said
        lines = said.split("\n")
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()
        if said.startswith("421"):
            raise _Cut
        return said

    async def deed(self, said: str) -> None:
        if said == TLS and self.peer.tls is None:
            self.writer.write(b"454 4.7.0 no TLS now\r\n")
        elif said == TLS:
            self.writer.write(b"220 go\r\n")
            await self.writer.drain()
            await self.writer.start_tls(self.peer.tls)  # type: ignore[arg-type]
            self.peer.encrypted += 1
        elif said == INJECT:
            self.writer.write(b"220 go\r\n250 2.1.0 injected\r\n")
        else:
            self.writer.write(b"220 go\r\nthis is no TLS record at all, sorry\r\n")


def dotted(said: Mapping[str, Said]) -> dict[str, Said]:
    """Return ``said`` with the final dot by its own name: ``dot`` is a keyword's way to say it."""
    return {"." if word == "dot" else word: value for word, value in said.items()}


@asynccontextmanager
async def scripted(
    words: Mapping[str, Said] | None = None,
    /,
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    port: int = 0,
    host: str = "127.0.0.1",
    **said: Said,
) -> AsyncIterator[Peer]:
    """Serve on a free port; ``said`` changes what `POLITE` answers (``dot`` stands for ``.``).

    With ``implicit`` it is TLS from the first octet.
    """
    words = {**POLITE, **dotted(said), **(words or {})}
    replies = {word: [v] if isinstance(v, str) else list(v) for word, v in words.items()}
    peer = Peer(replies, tls, host=host)
    talks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(peer.serve(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that never began

    first = tls if implicit else None
    server = await asyncio.start_server(begin, host, port, limit=2**20, ssl=first)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
