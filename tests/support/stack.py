"""The whole system for journeys: one `House`, started once, with real mail clients around it."""

import asyncio
import base64
import imaplib
import secrets
import shutil
import smtplib
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import imapclient

from onemachine import demo
from onemachine.options import DOMAIN, HOSTNAME, Options
from onemachine.ports import COPY_STRIDE, LOOPBACK, PUBLIC, free_ports
from onemachine.ready import NO_TLS, NotReady, leaves
from onemachine.services import Service
from onemachine.stack import Stack
from onemachine.supervisor import Part

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.05
_APPENDED_AT_ONCE = 100
_FOR_TESTS = ("fsync=off", "full_page_writes=off")
# Tests do not wait for a sweeper that takes its time.
_QUICK = {"POSTHOUSE_SWEEP_SECONDS": "0.5", "POSTHOUSE_SWEEP_AFTER_SECONDS": "2"}


class House:
    """A running stack with its own loop in its own thread, for tests that are plain functions.

    Attributes:
        stack: The parts: `kill` and start them.
        demo: Ports, passwords, addresses.
    """

    def __init__(
        self, settings: Mapping[str, str], *, copies: int = 1, store: str = "disk"
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.said: list[str] = []
        chosen = Options(
            var=Path(tempfile.mkdtemp(prefix="posthouse-journey-")),
            store="s3" if store == "s3" else "disk",
            copies=copies,
            ports=dict(zip(PUBLIC, free_ports(len(PUBLIC), copies), strict=True)),
            settings=_QUICK | dict(settings),
        )
        self.stack = Stack(chosen, self.said.append, _FOR_TESTS, management=True)
        self.demo = demo.demo_of(self.stack, HOSTNAME)
        self.trust = ssl.create_default_context(cafile=str(self.stack.certificates.authority))

    def open(self) -> None:
        """Start everything and make the demo domain."""
        try:
            self.do(self.stack.start())
        except* NotReady as group:
            raise AssertionError("\n".join(str(trouble) for trouble in leaves(group))) from group
        demo.populate(self.demo)

    def close(self) -> None:
        """Stop everything and leave nothing behind."""
        self.do(self.stack.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.stack.options.var)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop of the stack; wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextmanager
    def killed(self, part: Part) -> Iterator[None]:
        """End a part with SIGKILL; behind the block wait until the stack has started it again."""
        before = self.stack.supervisor.restarts.get(part.name, 0)
        assert part.child is not None
        self._loop.call_soon_threadsafe(part.child.kill)
        yield
        eventually(
            lambda: self.stack.supervisor.restarts.get(part.name, 0), lambda n: n == before + 1
        )

    def halt(self, part: Part) -> None:
        """Stop a part in good order and leave it so."""
        self.do(self.stack.halt(part))

    def resume(self, part: Part) -> None:
        """Start a halted part."""
        self.do(self.stack.resume(part))

    def await_ready(self) -> None:
        """Wait until every service says that it is ready."""
        for service in self.stack.services:
            eventually(partial(self._trouble, service), lambda answer: answer is None)

    def _trouble(self, service: Service) -> str | None:
        return self.do(service.trouble())

    def port(self, name: str, copy: int = 0) -> int:
        """Return a well-known port by its word: ``smtp``, ``imaps``."""
        return self.demo.ports[f"{name.upper()}_PORT"] + copy * COPY_STRIDE

    def ask(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        """Ask the postmaster's API; an error status is an error."""
        with demo.api(self.demo) as client:
            reply = client.request(method, path, json=json)
            reply.raise_for_status()
            answer: dict[str, Any] = reply.json() if reply.content else {}
            return answer

    def account(self, name: str = "") -> tuple[str, str]:
        """Make an account; return its address and its password."""
        address = f"{name or 'user-' + secrets.token_hex(4)}@{DOMAIN}"
        password = secrets.token_hex(12)
        self.ask("POST", "/accounts", json={"address": address, "password": password})
        return address, password

    def send(self, sender: str, recipients: list[str], octets: bytes, copy: int = 0) -> None:
        """Hand a message in on the MX port, as another mail server does; 250 or an exception."""
        with smtplib.SMTP(LOOPBACK, self.port("smtp", copy), timeout=PATIENCE_SECONDS) as client:
            client.sendmail(sender, recipients, octets)

    def submit(
        self,
        user: tuple[str, str],
        recipients: list[str],
        octets: bytes,
        mail: Sequence[str] = (),
        rcpt: Sequence[str] = (),
    ) -> None:
        """Hand a message in as its author, with STARTTLS and AUTH, and parameters of its commands."""
        port = self.port("submission")
        with smtplib.SMTP(LOOPBACK, port, timeout=PATIENCE_SECONDS) as client:
            client.starttls(context=self.trust)
            client.login(*user)
            client.sendmail(user[0], recipients, octets, mail_options=mail, rcpt_options=rcpt)

    def asks_for(self, user: tuple[str, str], recipient: str) -> tuple[int, bytes]:
        """Return what its author is told at RCPT, and send nothing."""
        port = self.port("submission")
        with smtplib.SMTP(LOOPBACK, port, timeout=PATIENCE_SECONDS) as client:
            client.starttls(context=self.trust)
            client.login(*user)
            client.mail(user[0])
            return client.rcpt(recipient)

    @contextmanager
    def imap(self, user: tuple[str, str], copy: int = 0) -> Iterator[imaplib.IMAP4_SSL]:
        """Log in by IMAP over TLS."""
        with imaplib.IMAP4_SSL(
            LOOPBACK, self.port("imaps", copy), ssl_context=self.trust, timeout=PATIENCE_SECONDS
        ) as client:
            client.login(*user)
            yield client

    def append(
        self, user: tuple[str, str], letters: Sequence[bytes], mailbox: str = "INBOX"
    ) -> None:
        """Append letters to a mailbox, as many at once as is quick (RFC 3502)."""
        with imapclient.IMAPClient(
            LOOPBACK, self.port("imaps"), ssl_context=self.trust, timeout=PATIENCE_SECONDS
        ) as client:
            client.login(*user)
            for first in range(0, len(letters), _APPENDED_AT_ONCE):
                client.multiappend(mailbox, letters[first : first + _APPENDED_AT_ONCE])

    def messages(self, user: tuple[str, str], mailbox: str = "INBOX") -> list[bytes]:
        """Return every message in a mailbox, by UID."""
        with self.imap(user) as client:
            client.select(mailbox, readonly=True)
            if not client.uid("SEARCH", "ALL")[1][0]:
                return []
            found = client.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]
            return [part[1] for part in found if isinstance(part, tuple)]

    def await_messages(
        self, user: tuple[str, str], count: int, within: float = PATIENCE_SECONDS
    ) -> list[bytes]:
        """Return the messages of INBOX as soon as there are ``count``; fail if they do not come."""
        return eventually(lambda: self.messages(user), lambda found: len(found) >= count, within)

    def queues_are_empty(self) -> bool:
        """Tell whether no envelope waits anywhere in RabbitMQ; dead ones do not wait."""
        queues = self._broker("GET", "/api/queues")
        return all(queue.get("messages", 1) == 0 for queue in queues)

    def publish(self, road: str, body: bytes) -> None:
        """Put octets on a road, as a confused neighbour could."""
        order = {
            "routing_key": road,
            "payload": base64.b64encode(body).decode(),
            "payload_encoding": "base64",
            "properties": {"delivery_mode": 2},
        }
        assert self._broker("POST", "/api/exchanges/%2F/roads/publish", order) == {"routed": True}

    def take(self, road: str) -> bytes:
        """Take one envelope off a road; nothing if there is none."""
        order = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "base64"}
        taken = self._broker("POST", f"/api/queues/%2F/{road}/get", order)
        return base64.b64decode(taken[0]["payload"]) if taken else b""

    def _broker(self, method: str, path: str, order: object = None) -> Any:  # noqa: ANN401
        rabbit = self.stack.servers.rabbitmq
        with httpx.Client(
            base_url=rabbit.api, auth=(rabbit.user, rabbit.password), verify=NO_TLS
        ) as client:
            reply = client.request(method, path, json=order)
        reply.raise_for_status()
        return reply.json()


def eventually(
    ask: Callable[[], T], enough: Callable[[T], bool], within: float = PATIENCE_SECONDS
) -> T:
    """Ask until the answer is enough; fail with the last answer after ``within`` seconds."""
    until = time.monotonic() + within
    while True:
        answer = ask()
        if enough(answer):
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {within:.0f} s; the last answer was {answer!r:.2000}")
        time.sleep(_LOOK_EVERY_SECONDS)


@contextmanager
def a_house(
    settings: Mapping[str, str] | None = None, *, copies: int = 1, store: str = "disk"
) -> Iterator[House]:
    """Open a house for the time of the block."""
    house = House(settings or {}, copies=copies, store=store)
    try:
        house.open()
        yield house
    finally:
        house.close()
