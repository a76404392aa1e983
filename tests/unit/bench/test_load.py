"""The load generator against a server that keeps count."""

from __future__ import annotations

import asyncio

import pytest

from bench.load import Load, Plan, body


class Server:
    """Takes mail by the book; refuses every ``refuse``-th RCPT."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse = refuse
        self.connections = 0
        self.recipients: list[str] = []
        self.messages: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.partition(" ")[0]
            if verb == "RCPT":
                self.recipients.append(line[9:-1])
            if verb == "RCPT" and self.refuse and not len(self.recipients) % self.refuse:
                writer.write(b"550 no\r\n")
            elif verb == "EHLO":
                writer.write(b"250-here\r\n250 SIZE\r\n")
            elif verb == "DATA":
                writer.write(b"354 go\r\n")
                self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 ok\r\n")
            else:
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n")
            if verb == "QUIT":
                break
        writer.close()
        await writer.wait_closed()


async def sent(server: Server, *, count: int, reuse: bool) -> Load:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        plan = Plan(
            host="127.0.0.1", port=port, count=count, sessions=4, octets=4096, reuse=reuse,
            recipients=("a@b.test", "c@b.test"),
        )  # fmt: skip
        load = Load(plan)
        seconds = await asyncio.to_thread(load.run)
        assert seconds > 0
        return load


@pytest.mark.parametrize(("reuse", "connections"), [(False, 25), (True, 4)])
async def test_every_message_is_sent_once_over_as_many_connections_as_planned(
    reuse: bool,  # noqa: FBT001
    connections: int,
) -> None:
    server = Server()

    load = await sent(server, count=25, reuse=reuse)

    assert (load.accepted, load.refusals) == (25, [])
    assert server.connections == connections
    assert sorted(server.recipients) == ["a@b.test"] * 13 + ["c@b.test"] * 12
    ids = {octets.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for octets in server.messages}
    assert len(ids) == 25


async def test_a_refusal_is_counted_and_the_rest_is_sent() -> None:
    server = Server(refuse=5)

    load = await sent(server, count=20, reuse=True)

    assert (load.accepted, len(load.refusals)) == (16, 4)
    assert "550 no after RCPT" in load.refusals[0]


def test_a_body_has_the_octets_it_was_asked_for_and_no_line_to_stuff() -> None:
    octets = body(4096)

    assert len(octets) == 4096
    assert octets.endswith(b"\r\n")
    assert all(len(line) <= 74 and line[:1] != b"." for line in octets.split(b"\r\n"))
