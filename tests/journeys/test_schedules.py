"""Mail that starts later (RFC 4865) and mail that must have arrived (RFC 2852), through the whole house."""

import secrets
import time
from email import message_from_bytes

import pytest

from support.letters import letter
from support.outside_world import OutsideWorld
from support.stack import House

pytestmark = pytest.mark.journey

HOLD_SECONDS = 4
STATIONS = ("ingress-smtp", "postmaster", "policy", "delivery-local")


def test_held_mail_arrives_after_its_time_and_once_whoever_is_killed_meanwhile(
    house: House,
) -> None:
    author, reader = house.account(), house.account()
    before = time.monotonic()
    house.submit(author, [reader[0]], letter("later", author[0]), [f"HOLDFOR={HOLD_SECONDS}"])

    (held,) = house.ask("GET", f"/held?account={author[0]}")["items"]
    for name in STATIONS:
        with house.killed(house.stack.service(name)):
            pass
    house.await_ready()
    house.submit(author, [reader[0]], letter("at once", author[0]))
    found = house.await_messages(reader, 2)

    assert time.monotonic() - before > HOLD_SECONDS
    assert sorted(message_from_bytes(one)["Subject"] for one in found) == ["at once", "later"]
    told = house.ask("GET", f"/trace/{held['id']}")
    assert [event["what"] for event in told["events"]][:2] == ["accepted", "held"]
    (recipient,) = told["recipients"]
    assert recipient["routed_at"] > held["release_at"]
    assert house.ask("GET", f"/held?account={author[0]}")["items"] == []


def test_mail_that_may_not_be_late_comes_back_from_a_server_that_keeps_no_time(
    house: House, world: OutsideWorld
) -> None:
    domain = f"d{secrets.token_hex(3)}.test"
    sink = world.server()
    world.domain(domain, sink)
    sink.start()
    author = house.account()

    house.submit(author, [f"you@{domain}"], letter("now or never", author[0]), ["BY=60;R"])
    house.submit(author, [f"you@{domain}"], letter("tell me", author[0]), ["BY=60;N"])

    reports = [message_from_bytes(one) for one in house.await_messages(author, 2)]
    fates = [
        (group["Action"], group["Status"])
        for report in reports
        for part in report.walk()
        if part.get_content_type() == "message/delivery-status"
        for group in part.walk()
        if group["Action"]
    ]
    assert sorted(fates) == [("failed", "5.4.7"), ("relayed", "2.0.0")]
    assert [one["Subject"] for one in sink.letters()] == ["tell me"]
