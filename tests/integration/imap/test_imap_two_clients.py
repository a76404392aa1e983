"""Two clients do what they like; a model of the mailboxes knows what both must see (RFC 3501 §5.2, §7).

Each client keeps its view as clients do: from SELECT, and from untagged EXISTS, EXPUNGE and FETCH.
After a NOOP the view is the model: the same UIDs in the same order, the same flags.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from imap_gateway.memory.shelf import MAX_OCTETS
from posthouse.storage.pool import open_pool
from support.imap import LETTER, Gateway, User, add_reader, check_sums, gateway

pytestmark = pytest.mark.integration

T = TypeVar("T")

BOXES = ("INBOX", "Archive")
FLAGS = st.sets(st.sampled_from([r"\Seen", r"\Flagged", r"\Deleted", "work"]), max_size=3)
WHO = st.integers(0, 1)
PICK = st.lists(st.integers(0, 30), min_size=1, max_size=4)
_FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)")
_UID = re.compile(rb"UID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")


@dataclass(slots=True)
class Box:
    """What a mailbox holds: flags by UID."""

    messages: dict[int, set[str]] = field(default_factory=dict)
    uidnext: int = 1

    def add(self, flags: set[str]) -> int:
        self.messages[self.uidnext] = set(flags)
        self.uidnext += 1
        return self.uidnext - 1


@dataclass(slots=True)
class Seen:
    """A message as a client knows it."""

    uid: int = 0
    flags: set[str] = field(default_factory=set)


class Client:
    """A client, its connection and its view of the mailbox it has open."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.box = ""
        self.view: list[Seen] = []

    async def say(self, line: str) -> bytes:
        """Give a command, learn from what is told; return the tagged answer."""
        *told, answer = await self.user.say(line)
        for response in told:
            self._learn(response)
        assert answer.startswith(b"OK"), (line, answer)
        return answer

    async def append(self, box: str, flags: set[str]) -> bytes:
        line = f"APPEND {box} ({' '.join(sorted(flags))}) {{{len(LETTER)}+}}\r\n".encode()
        *told, answer = await self.user.say(line + LETTER)
        for response in told:
            self._learn(response)
        return answer

    async def select(self, box: str) -> None:
        self.box, self.view = "", []
        await self.say(f"SELECT {box}")
        self.box = box
        await self.look()

    async def look(self) -> None:
        if self.view:
            await self.say("FETCH 1:* (UID FLAGS)")

    def _learn(self, response: bytes) -> None:
        words = response.split(b" ", 3)
        if len(words) > 2 and words[2] == b"EXISTS":
            assert int(words[1]) >= len(self.view), "EXISTS takes nothing away"
            self.view += [Seen() for _ in range(int(words[1]) - len(self.view))]
        elif len(words) > 2 and words[2] == b"EXPUNGE":
            del self.view[int(words[1]) - 1]
        elif found := _FETCH.fullmatch(response):
            one = self.view[int(found[1]) - 1]
            if uid := _UID.search(found[2]):
                assert one.uid in (0, int(uid[1])), "a message never changes its UID"
                one.uid = int(uid[1])
            if flags := _FLAGS.search(found[2]):
                one.flags = set(flags[1].decode().split()) - {r"\Recent"}


class World:
    """A gateway on a loop of its own, for tests that are plain functions."""

    def __init__(self, url: str, folder: Path, views_octets: int) -> None:
        self._url, self._folder, self._views_octets = url, folder, views_octets
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stop = asyncio.Event()
        opened: asyncio.Future[Gateway] = self._loop.create_future()
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(opened), self._loop)
        self.gateway = self.do(self._wait(opened))

    async def _wait(self, opened: asyncio.Future[Gateway]) -> Gateway:
        async with asyncio.timeout(30):
            return await opened

    async def _serve(self, opened: asyncio.Future[Gateway]) -> None:
        async with (
            open_pool(self._url) as pool,
            gateway(pool, self._folder, views_octets=self._views_octets) as house,
        ):
            opened.set_result(house)
            await self._stop.wait()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._serving.result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def newcomers(self) -> tuple[int, list[Client]]:
        """Make an account with two clients that have INBOX open."""
        name = f"user-{secrets.token_hex(6)}"
        account = await add_reader(self.gateway.house.pool, name)
        users = [await self.gateway.connect() for _ in range(2)]
        for user in users:
            await user.login(name)
        clients = [Client(user) for user in users]
        for client in clients:
            await client.select("INBOX")
        return account, clients


@pytest.fixture(params=["views stay", "views are dropped, and read in pages behind SELECT"])
def world(
    request: pytest.FixtureRequest,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    is_dropping = request.param != "views stay"
    if is_dropping:
        for module in (
            "imap_gateway.memory.views",
            "imap_gateway.memory.loading",
            "posthouse.storage.snapshots",
        ):
            monkeypatch.setattr(f"{module}.CHUNK_MESSAGES", 2)
    opened = World(postgres_url, tmp_path, views_octets=1 if is_dropping else MAX_OCTETS)
    yield opened
    opened.close()


class Mailboxes(RuleBasedStateMachine):
    """The model, and what both clients may do."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.boxes = {name: Box() for name in BOXES}
        self.account, self.clients = self.world.do(self.world.newcomers())

    @initialize(flags=st.lists(FLAGS, min_size=2, max_size=8))
    def filled(self, flags: list[set[str]]) -> None:
        for each in flags:
            self.append(0, "INBOX", each)

    @rule(who=WHO, name=st.sampled_from(BOXES), flags=FLAGS)
    def append(self, who: int, name: str, flags: set[str]) -> None:
        answer = self.world.do(self.clients[who].append(name, flags))
        uid = self.boxes[name].add(flags)
        assert re.fullmatch(rb"OK \[APPENDUID \d+ %d\] .*" % uid, answer), answer

    @rule(who=WHO, name=st.sampled_from(BOXES))
    def select(self, who: int, name: str) -> None:
        self.world.do(self.clients[who].select(name))

    @rule(
        who=WHO,
        mode=st.sampled_from(["", "+", "-"]),
        picks=PICK,
        flags=FLAGS,
        quiet=st.sampled_from(["", ".SILENT"]),
    )
    def store(self, who: int, mode: str, picks: list[int], flags: set[str], quiet: str) -> None:
        client, box = self._of(who)
        uids = self._picked(client, picks)
        if not uids:
            return
        words = f"{mode}FLAGS{quiet} ({' '.join(sorted(flags))})"
        self.world.do(client.say(f"UID STORE {_set(uids)} {words}"))
        for uid in uids & box.messages.keys():
            old = box.messages[uid]
            new = {"": flags, "+": old | flags, "-": old - flags}[mode]
            if quiet:  # what a client changes in silence it knows by itself
                next(one for one in client.view if one.uid == uid).flags = set(new)
            box.messages[uid] = set(new)

    @rule(who=WHO)
    def expunge(self, who: int) -> None:
        client, box = self._of(who)
        self.world.do(client.say("EXPUNGE"))
        self._remove(box, set(box.messages))

    @rule(who=WHO, picks=PICK)
    def uid_expunge(self, who: int, picks: list[int]) -> None:
        client, box = self._of(who)
        if uids := self._picked(client, picks):
            self.world.do(client.say(f"UID EXPUNGE {_set(uids)}"))
            self._remove(box, uids)

    @rule(who=WHO, picks=PICK, name=st.sampled_from(BOXES), verb=st.sampled_from(["COPY", "MOVE"]))
    def copy(self, who: int, picks: list[int], name: str, verb: str) -> None:
        client, box = self._of(who)
        uids = self._picked(client, picks)
        if not uids:
            return
        self.world.do(client.say(f"UID {verb} {_set(uids)} {name}"))
        for uid in sorted(uids & box.messages.keys()):
            self.boxes[name].add(box.messages[uid])
            if verb == "MOVE":
                del box.messages[uid]

    @rule(who=WHO, picks=PICK)
    def fetch_by_number(self, who: int, picks: list[int]) -> None:
        client, _ = self._of(who)
        if client.view:
            numbers = {pick % len(client.view) + 1 for pick in picks}
            self.world.do(self._fetched(client, numbers))

    async def _fetched(self, client: Client, numbers: set[int]) -> None:
        # One that another client has expunged may be refused (RFC 2180 §4.1.2), never mistaken.
        *told, answer = await client.user.say(f"FETCH {_set(numbers)} (UID FLAGS)")
        for response in told:
            client._learn(response)
        assert answer.startswith((b"OK", b"NO [EXPUNGEISSUED]")), answer

    @invariant()
    def both_see_what_is_there(self) -> None:
        for client in self.clients:
            self.world.do(self._agrees(client))

    async def _agrees(self, client: Client) -> None:
        await client.say("NOOP")
        known = [(one.uid, one.flags) for one in client.view if one.uid]
        there = self.boxes[client.box].messages
        assert len(client.view) == len(there)
        assert known == [(uid, flags) for uid, flags in there.items()][: len(known)]
        await client.look()
        assert [(one.uid, one.flags) for one in client.view] == list(there.items())

    def teardown(self) -> None:
        self.world.do(check_sums(self.world.gateway.house.pool, self.account))
        for client in self.clients:
            self.world._loop.call_soon_threadsafe(client.user.close)

    def _of(self, who: int) -> tuple[Client, Box]:
        client = self.clients[who]
        return client, self.boxes[client.box]

    def _picked(self, client: Client, picks: list[int]) -> set[int]:
        uids = [one.uid for one in client.view if one.uid]
        return {uids[pick % len(uids)] for pick in picks} if uids else set()

    def _remove(self, box: Box, uids: set[int]) -> None:
        for uid in uids & box.messages.keys():
            if r"\Deleted" in box.messages[uid]:
                del box.messages[uid]


def _set(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def test_two_clients_see_what_the_model_knows(world: World) -> None:
    profile = settings.default
    assert profile is not None
    Mailboxes.world = world
    run_state_machine_as_test(
        Mailboxes,
        settings=settings(
            max_examples=min(profile.max_examples, 2000) // 8,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
