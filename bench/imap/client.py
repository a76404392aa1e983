"""An IMAP client that costs next to nothing: a raw socket, and answers that nobody parses."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from types import TracebackType

from bench.system import Unfit

TIMEOUT_SECONDS = 120.0
WINDOW = 32  # commands that are under way while a mailbox is filled
_READ_OCTETS = 1 << 18
_TAG_KEPT = 400  # of what was looked through: a tag may lie across two reads


class Client:
    """One connection, logged in.

    Tags are words that no message of the bench has at the start of a line, so the end of an answer
    is found without a look at literals.
    """

    def __init__(self, port: int, user: str, password: str, host: str = "127.0.0.1") -> None:
        self._line = socket.create_connection((host, port), TIMEOUT_SECONDS)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""
        self._count = 0
        self.next_line()
        self.say(f'LOGIN "{user}" "{password}"')

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()

    def say(self, command: str) -> bytes:
        """Give a command and return all of its answer; raise `Unfit` if it is not OK."""
        tag = self._tag()
        self._line.sendall(tag + b" " + command.encode() + b"\r\n")
        return self._answer(tag)

    def begin(self, command: str) -> bytes:
        """Give a command and return the next line, without waiting for its end."""
        self._line.sendall(self._tag() + b" " + command.encode() + b"\r\n")
        return self.next_line()

    def append(self, mailbox: str, message: bytes) -> None:
        """APPEND one message and wait for the answer."""
        self._answer(self._send_message(mailbox, message))

    def fill(self, mailbox: str, messages: Sequence[bytes]) -> None:
        """APPEND messages, many under way at once."""
        waiting: list[bytes] = []
        for message in messages:
            waiting.append(self._send_message(mailbox, message))
            if len(waiting) >= WINDOW:
                self._answer(waiting.pop(0))
        for tag in waiting:
            self._answer(tag)

    def next_line(self) -> bytes:
        """Return the next line."""
        while b"\n" not in self._heard:
            self._heard += self._read()
        line, self._heard = self._heard.split(b"\n", 1)
        return line

    def _send_message(self, mailbox: str, message: bytes) -> bytes:
        tag = self._tag()
        head = b'%b APPEND "%b" {%d+}\r\n' % (tag, mailbox.encode(), len(message))
        self._line.sendall(head + message + b"\r\n")
        return tag

    def _tag(self) -> bytes:
        self._count += 1
        return b"zq%05dx" % self._count

    def _read(self) -> bytes:
        octets = self._line.recv(_READ_OCTETS)
        if not octets:
            raise Unfit("the IMAP server has hung up")
        return octets

    def _answer(self, tag: bytes) -> bytes:
        """Return everything up to the tagged line."""
        mark = b"\n" + tag + b" "
        pieces, self._heard = [b"\n" + self._heard], b""
        tail = pieces[0]
        while (at := tail.find(mark)) < 0 or tail.find(b"\n", at + 1) < 0:
            pieces.append(self._read())
            tail = (tail[-_TAG_KEPT:] if at < 0 else tail[at:]) + pieces[-1]
        heard = b"".join(pieces)
        at = heard.find(mark)
        end = heard.find(b"\n", at + 1)
        self._heard = heard[end + 1 :]
        status = heard[at + 1 : end]
        if not status.startswith(tag + b" OK"):
            raise Unfit(f"IMAP: {status.decode(errors='replace')}")
        return heard[1 : end + 1]


def exists(answer: bytes) -> int:
    """Return how many messages SELECT has told of."""
    found = re.search(rb"\* (\d+) EXISTS", answer)
    if found is None:
        raise Unfit("SELECT did not tell how many messages there are")
    return int(found[1])
