"""SMTP load over raw sockets in one process: many sessions, no pipelining, every 250 counted.

Run as a process of its own (``python -m bench.load``), so that its processor time is not the
servers'. Recipients go round over the users; each message has its own Message-ID.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

SENDER = "sender@load.invalid"
TIMEOUT_SECONDS = 600.0
MAX_REFUSALS_TOLD = 3
_READ_OCTETS = 65_536
_BLOCK_OCTETS = 1_048_576  # of text; larger bodies repeat it
_WORDS = [
    "alpha",
    "report",
    "invoice",
    "meeting",
    "quarter",
    "budget",
    "review",
    "schedule",
    "deploy",
    "cluster",
    "storage",
    "network",
    "policy",
    "message",
    "delivery",
    "customer",
    "contract",
    "update",
    "release",
    "version",
    "travel",
    "lunch",
    "garden",
    "river",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send.

    Attributes:
        host: Server.
        port: Its SMTP port.
        count: Messages.
        sessions: Connections at once.
        octets: Of each body.
        reuse: Many messages per connection instead of one.
        recipients: Addresses, taken in turn.
    """

    host: str
    port: int
    count: int
    sessions: int
    octets: int
    reuse: bool
    recipients: tuple[str, ...]


def body(octets: int) -> bytes:
    """Return lines of words, always the same ones, of ``octets`` octets with the last CRLF."""
    chance = random.Random(1)  # noqa: S311 - the same text every time
    lines: list[str] = []
    length = 0
    while length < min(octets, _BLOCK_OCTETS):
        lines.append(" ".join(chance.choice(_WORDS) for _ in range(10))[:74])
        length += len(lines[-1]) + 2
    block = "\r\n".join(lines) + "\r\n"
    return ((block * (octets // len(block) + 1))[: octets - 2] + "\r\n").encode()


@dataclass(slots=True)
class Session:
    """One connection.

    Attributes:
        step: What was sent last and is to be answered.
        message: Number of the message under way; None between messages.
        unread: Octets of an answer that is not complete.
        unsent: What the socket did not take yet; all sessions share the text of a body.
    """

    line: socket.socket
    step: str = "greeting"
    message: int | None = None
    unread: bytes = b""
    unsent: list[memoryview] = field(default_factory=list)


@dataclass(slots=True)
class Load:
    """Carries out a plan."""

    plan: Plan
    accepted: int = 0
    refusals: list[str] = field(default_factory=list)
    _next: int = 0
    _last: float = 0.0
    _text: bytes = b""
    _run: str = field(default_factory=lambda: f"{random.getrandbits(40):x}")
    _sessions: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def run(self) -> float:
        """Send everything; return the seconds from the first connect to the last 250."""
        self._text = body(self.plan.octets)
        began = self._last = time.perf_counter()
        for _ in range(min(self.plan.sessions, self.plan.count)):
            self._open()
        while self._sessions.get_map():
            if time.perf_counter() - began > TIMEOUT_SECONDS:
                self.refusals.append("no end in sight")
                break
            for key, _ in self._sessions.select(1):
                self._serve(key.data)
        return self._last - began

    def _open(self) -> None:
        if self._next >= self.plan.count:
            return
        line = socket.create_connection((self.plan.host, self.plan.port))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._sessions.register(line, selectors.EVENT_READ, Session(line, message=self._take()))

    def _take(self) -> int | None:
        """Return the number of the next message; None if all are taken."""
        if self._next >= self.plan.count:
            return None
        self._next += 1
        return self._next - 1

    def _close(self, session: Session) -> None:
        self._sessions.unregister(session.line)
        session.line.close()
        self._open()

    def _serve(self, session: Session) -> None:
        if session.unsent:
            self._send(session)
        try:
            octets = session.line.recv(_READ_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            octets = b""
            self.refusals.append(f"{error} after {session.step}")
        if not octets:
            if session.message is not None:
                self.refusals.append(f"closed after {session.step}")
            self._close(session)
            return
        *lines, session.unread = (session.unread + octets).split(b"\n")
        for line in lines:
            if line[3:4] != b"-":
                self._answer(session, line)

    def _send(self, session: Session, *pieces: bytes) -> None:
        session.unsent += map(memoryview, pieces)
        try:
            while session.unsent:
                sent = session.line.send(session.unsent[0])
                session.unsent[0] = session.unsent[0][sent:]
                if not session.unsent[0]:
                    del session.unsent[0]
        except BlockingIOError:
            pass
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.unsent else 0)
        if self._sessions.get_key(session.line).events != events:
            self._sessions.modify(session.line, events, session)

    def _say(self, session: Session, step: str, *pieces: bytes) -> None:
        session.step = step
        self._send(session, *pieces)

    def _answer(self, session: Session, line: bytes) -> None:
        match session.step, line[:3]:
            case "greeting", b"220":
                self._say(session, "EHLO", b"EHLO load.invalid\r\n")
            case "EHLO", b"250":
                self._begin(session)
            case "MAIL", b"250":
                recipient = self._recipient(session.message or 0)
                self._say(session, "RCPT", f"RCPT TO:<{recipient}>\r\n".encode())
            case "RCPT", b"250":
                self._say(session, "DATA", b"DATA\r\n")
            case "DATA", b"354":
                self._say(session, "dot", *self._message(session.message or 0))
            case "dot", b"250":
                self._accepted(session)
            case "QUIT", _:
                self._close(session)
            case _:
                self._refused(session, line)

    def _begin(self, session: Session) -> None:
        if session.message is None:
            self._say(session, "QUIT", b"QUIT\r\n")
            return
        self._say(session, "MAIL", f"MAIL FROM:<{SENDER}>\r\n".encode())

    def _accepted(self, session: Session) -> None:
        self.accepted += 1
        self._last = time.perf_counter()
        session.message = self._take() if self.plan.reuse else None
        self._begin(session)

    def _refused(self, session: Session, line: bytes) -> None:
        self.refusals.append(f"{line.decode(errors='replace').strip()} after {session.step}")
        session.message = None
        self._say(session, "QUIT", b"QUIT\r\n")

    def _recipient(self, number: int) -> str:
        return self.plan.recipients[number % len(self.plan.recipients)]

    def _message(self, number: int) -> tuple[bytes, bytes, bytes]:
        header = (
            f"From: Load <{SENDER}>\r\nTo: <{self._recipient(number)}>\r\n"
            f"Subject: load {self._run} message {number}\r\n"
            "Date: Sat, 01 Mar 2025 10:00:00 +0000\r\n"
            f"Message-ID: <{self._run}.{number}@load.invalid>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        )
        return header.encode(), self._text, b".\r\n"


def main() -> None:
    """Read the plan from the arguments, print the result as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    for name in ("port", "count", "sessions", "octets"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("recipients", nargs="+")
    given = vars(parser.parse_args())
    plan = Plan(**{**given, "recipients": tuple(given["recipients"])})
    load = Load(plan)
    seconds = load.run()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "accepted": load.accepted,
        "seconds": round(seconds, 3),
        "refusals": load.refusals[:MAX_REFUSALS_TOLD],
        "refused": len(load.refusals),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 3),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(0 if load.accepted == plan.count else 1)


if __name__ == "__main__":
    main()
