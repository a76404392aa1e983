"""Faults under load, and a count: every letter answered with 250 arrives, and arrives once."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.letters import letter
from support.load import Load, nothing_lost, subjects, under_load
from support.outside_world import OutsideWorld, Sink
from support.stack import House, a_house, eventually

pytestmark = pytest.mark.journey

LOCAL_SERVICES = (
    "ingress-smtp",
    "policy",
    "delivery-local",
    "imap-gateway",
    "pop3-gateway",
    "postmaster",
)
BEFORE, AFTER = 30, 30  # letters accepted before and after a blow


@pytest.fixture(scope="module")
def broken(world: OutsideWorld) -> Iterator[House]:
    """A house of its own, which is not treated well."""
    with a_house(world.settings) as opened:
        yield opened


def _all_arrived_once(house: House, load: Load, reader: tuple[str, str]) -> None:
    eventually(
        nothing_lost(load, lambda: subjects(house.messages(reader))), lambda lost: not lost, 90
    )
    doubled = [subject for subject, n in subjects(house.messages(reader)).items() if n > 1]
    assert len(load.accepted) >= BEFORE + AFTER
    assert doubled == []


@pytest.mark.parametrize("name", LOCAL_SERVICES)
def test_kill_9_of_a_service_loses_and_doubles_nothing(broken: House, name: str) -> None:
    reader = broken.account()

    with under_load(broken, [reader[0]]) as load:
        load.await_accepted(BEFORE)
        with broken.killed(broken.stack.service(name)):
            load.await_accepted(AFTER)

    broken.await_ready()
    _all_arrived_once(broken, load, reader)


def test_kill_9_of_delivery_remote_doubles_at_most_what_was_in_hand(
    broken: House, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start()
    world.domain("killed.test", sink)
    forward = broken.account()
    targets = {"targets": ["you@killed.test"], "keep_copy": False}
    broken.ask("PUT", f"/forwards/{forward[0]}", targets)

    with under_load(broken, [forward[0]]) as load:
        load.await_accepted(BEFORE)
        with broken.killed(broken.stack.service("delivery-remote")):
            load.await_accepted(AFTER)

    eventually(nothing_lost(load, lambda: _sent_out(sink)), lambda lost: not lost, 90)
    assert max(_sent_out(sink).values()) <= 2  # one duplicate window: 250 there, no commit here


def _sent_out(sink: Sink) -> Counter[str]:
    return Counter(one["Subject"] for one in sink.letters())


@pytest.mark.parametrize("server", ["rabbitmq", "postgresql"])
def test_kill_9_of_a_server_loses_and_doubles_nothing(broken: House, server: str) -> None:
    reader = broken.account()
    (part,) = [part for part in broken.stack.servers.all if part.name == server]

    with under_load(broken, [reader[0]]) as load:
        load.await_accepted(BEFORE)
        with broken.killed(part):
            load.await_accepted(AFTER)

    broken.await_ready()
    _all_arrived_once(broken, load, reader)


def test_kill_9_of_the_broker_stops_no_reader(broken: House) -> None:
    user = broken.account()
    (rabbit,) = [part for part in broken.stack.servers.all if part.name == "rabbitmq"]

    with broken.imap(user) as one, broken.imap(user) as other:
        one.select("INBOX")
        other.select("INBOX")
        with broken.killed(rabbit):
            for number in range(20):
                assert one.append("INBOX", "", "", letter(f"{number}"))[0] == "OK"
            assert one.uid("MOVE", "1:10", "Archive")[0] == "OK"
            assert one.uid("STORE", "11:15", "+FLAGS", r"(\Deleted)")[0] == "OK"
            assert one.expunge()[0] == "OK"
            assert other.noop()[0] == "OK"
            assert other.uid("SEARCH", "ALL")[1] == [b"16 17 18 19 20"]
        assert other.select("Archive")[1] == [b"10"]

    broken.send("a@elsewhere.test", [user[0]], letter("afterwards"))
    broken.await_messages(user, 6)


def test_mail_is_accepted_while_rabbitmq_is_down_and_a_lost_broker_is_rebuilt(
    broken: House,
) -> None:
    reader, rabbit = broken.account(), broken.stack.servers.rabbitmq
    broken.halt(broken.stack.service("delivery-local"))

    with under_load(broken, [reader[0]]) as load:
        load.await_accepted(BEFORE)
        broken.halt(rabbit)
        load.await_accepted(AFTER)
    shutil.rmtree(rabbit.data)
    broken.resume(rabbit)
    broken.resume(broken.stack.service("delivery-local"))
    broken.await_ready()
    told = _posthouse(broken, "broker", "rebuild")

    assert told.returncode == 0, told.stderr
    _all_arrived_once(broken, load, reader)


def _posthouse(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "posthouse", *arguments],
        env={
            "POSTHOUSE_API_URL": house.demo.api_url,
            "POSTHOUSE_API_TOKEN": house.demo.api_token,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_world_goes_on_around_a_letter_that_died(broken: House) -> None:
    reader = broken.account()
    before = len(_waiting_dead(broken))

    broken.publish("mail.inbound", b"no envelope at all")
    broken.send("a@elsewhere.test", [reader[0]], letter("after the poison"))

    broken.await_messages(reader, 1)
    eventually(lambda: _waiting_dead(broken), lambda dead: len(dead) == before + 1)


def test_a_missing_object_ends_in_the_dead_letters_with_its_reason(
    broken: House, world: OutsideWorld
) -> None:
    sink = world.server()
    sink.start()
    world.domain("missing.test", sink)
    author, remote = broken.account(), broken.stack.service("delivery-remote")
    broken.halt(remote)
    broken.submit(author, ["you@missing.test"], letter("without octets", author[0]))
    found = eventually(
        lambda: broken.ask("GET", "/trace?recipient=you@missing.test")["items"], bool
    )
    (stored,) = (broken.stack.options.var / "objects").rglob(f"{found[0]['id']}.eml")

    stored.unlink()
    broken.resume(remote)

    (dead,) = eventually(
        lambda: [one for one in _waiting_dead(broken) if one["envelope"] == found[0]["id"]], bool
    )
    assert "object" in dead["reason"]
    assert sink.letters() == []


def _waiting_dead(house: House) -> list[dict[str, str]]:
    items: list[dict[str, str]] = house.ask("GET", "/dead-letters")["items"]
    return items


def test_an_envelope_that_comes_many_times_is_filed_once(broken: House) -> None:
    reader, local = broken.account(), broken.stack.service("delivery-local")
    broken.halt(local)
    broken.send("a@elsewhere.test", [reader[0]], letter("load-1-1"))
    body = eventually(lambda: broken.take("mail.local"), bool)

    for _ in range(10):
        broken.publish("mail.local", body)
    broken.resume(local)

    broken.await_messages(reader, 1)
    eventually(broken.queues_are_empty, bool)
    assert len(broken.messages(reader)) == 1
