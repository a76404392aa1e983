"""Two copies of every service and S3 storage: any copy serves anybody, at any time."""

import imaplib
import select
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from onemachine.ports import COPY_STRIDE, LOOPBACK
from support.letters import letter
from support.load import nothing_lost, subjects, under_load
from support.outside_world import OutsideWorld
from support.stack import House, a_house, eventually

pytestmark = pytest.mark.journey

COPIES = (0, 1)
IDLE_WITHIN_SECONDS = 1.0  # what a person at a mail program calls "at once"


@pytest.fixture(scope="module")
def twins(world: OutsideWorld) -> Iterator[House]:
    """Two of everything, objects in SeaweedFS."""
    with a_house(world.settings, copies=len(COPIES), store="s3") as opened:
        yield opened


@pytest.mark.parametrize("way_in", COPIES)
@pytest.mark.parametrize("way_out", COPIES)
def test_mail_goes_in_by_any_copy_and_out_by_any_other(
    twins: House, way_in: int, way_out: int
) -> None:
    reader, sent = twins.account(), letter("through the copies")

    twins.send("a@elsewhere.test", [reader[0]], sent, copy=way_in)

    twins.await_messages(reader, 1)
    with twins.imap(reader, copy=way_out) as client:
        client.select("INBOX")
        found = client.fetch("1", "(BODY.PEEK[])")[1][0]
    assert isinstance(found, tuple)
    assert found[1].endswith(sent)


def test_both_copies_of_the_postmaster_answer(twins: House) -> None:
    port = twins.demo.ports["POSTMASTER_PORT"] + COPY_STRIDE
    headers = {"Authorization": f"Bearer {twins.demo.api_token}"}

    reply = httpx.get(f"http://{LOOPBACK}:{port}/api/v1/domains", headers=headers)

    assert reply.json()["items"][0]["domain"] == "example.test"


@contextmanager
def _idling(client: imaplib.IMAP4_SSL) -> Iterator[None]:
    client.select("INBOX")
    client.send(b"i1 IDLE\r\n")
    assert client.readline().startswith(b"+")
    yield
    client.send(b"DONE\r\n")
    while not client.readline().startswith(b"i1 OK"):
        pass


def _heard(client: imaplib.IMAP4_SSL, word: bytes) -> float:
    """Return after how many seconds a line with ``word`` came."""
    began = time.monotonic()
    assert isinstance(client.sock, ssl.SSLSocket)
    while True:
        pending = client.sock.pending() or select.select([client.sock], [], [], 10)[0]
        assert pending, f"nothing was heard of {word!r}"
        if word in client.readline():
            return time.monotonic() - began


@pytest.mark.parametrize("watcher", COPIES)
def test_a_change_made_at_one_gateway_is_heard_in_idle_at_the_other(
    twins: House, watcher: int
) -> None:
    reader = twins.account()
    twins.send("a@elsewhere.test", [reader[0]], letter("to be flagged"))
    twins.await_messages(reader, 1)
    with twins.imap(reader, copy=watcher) as idler, twins.imap(reader, copy=1 - watcher) as worker:
        worker.select("INBOX")
        with _idling(idler):
            worker.store("1", "+FLAGS", "(\\Flagged)")

            assert _heard(idler, b"\\Flagged") < IDLE_WITHIN_SECONDS


def test_a_delivery_is_heard_in_idle_soon_after_the_250(twins: House) -> None:
    reader = twins.account()
    with twins.imap(reader, copy=1) as idler, _idling(idler):
        twins.send("a@elsewhere.test", [reader[0]], letter("news"))

        assert _heard(idler, b"1 EXISTS") < 2 * IDLE_WITHIN_SECONDS


def test_mail_is_put_off_while_the_object_store_is_away_and_taken_when_it_is_back(
    twins: House,
) -> None:
    reader, store = twins.account(), twins.stack.servers.seaweedfs
    assert store is not None
    twins.halt(store)

    with pytest.raises(smtplib.SMTPDataError) as refused:
        twins.send("a@elsewhere.test", [reader[0]], letter("too early"))
    twins.resume(store)

    def send() -> bool:
        try:
            twins.send("a@elsewhere.test", [reader[0]], letter("in time"))
        except smtplib.SMTPDataError:
            return False
        return True

    assert refused.value.smtp_code == 451
    assert eventually(send, bool)
    (found,) = twins.await_messages(reader, 1)
    assert b"Subject: in time" in found


@pytest.mark.parametrize("name", ["policy", "delivery-local"])
def test_one_copy_dies_and_nobody_waits_for_its_return(twins: House, name: str) -> None:
    reader, part = twins.account(), twins.stack.service(f"{name}-2")
    twins.halt(part)

    with under_load(twins, [reader[0]]) as load:
        load.await_accepted(30)
    eventually(nothing_lost(load, lambda: subjects(twins.messages(reader))), lambda lost: not lost)

    twins.resume(part)
    twins.await_ready()
