"""Mail to the outside world: postfix's smtp-sink as other people's servers, in every mood."""

import secrets
from email import message_from_bytes

import pytest

from onemachine import demo
from support.letters import letter
from support.outside_world import OutsideWorld, Sink
from support.stack import House, eventually

pytestmark = pytest.mark.journey


@pytest.fixture
def domain() -> str:
    return f"d{secrets.token_hex(3)}.test"


@pytest.fixture
def sink(world: OutsideWorld, domain: str) -> Sink:
    server = world.server()
    world.domain(domain, server)
    return server


def _state(house: House, recipient: str) -> str:
    found = house.ask("GET", f"/trace?recipient={recipient}")["items"]
    timeline = house.ask("GET", f"/trace/{found[0]['id']}")
    return str(timeline["recipients"][0]["state"])


def test_a_letter_reaches_the_server_that_mx_names(house: House, sink: Sink, domain: str) -> None:
    sink.start()
    author = house.account()

    house.submit(author, [f"you@{domain}"], letter("to the world", author[0]))

    (found,) = sink.await_letters()
    assert found["X-Mail-Args"].startswith(f"<{author[0]}>")
    assert found["X-Rcpt-Args"].startswith(f"<you@{domain}>")
    assert found["Subject"] == "to the world"
    eventually(lambda: _state(house, f"you@{domain}"), lambda state: state == "relayed")


def test_not_now_is_tried_again_until_it_is_taken(house: House, sink: Sink, domain: str) -> None:
    sink.start("-r", "rcpt")
    author = house.account()
    house.submit(author, [f"you@{domain}"], letter("later", author[0]))
    eventually(lambda: _state(house, f"you@{domain}"), lambda state: state == "deferred")

    sink.stop()
    sink.start()

    (found,) = sink.await_letters()
    assert found["Subject"] == "later"
    assert house.messages(author) == []


def test_never_bounces_to_the_author(house: House, sink: Sink, domain: str) -> None:
    sink.start("-f", "rcpt")
    author = house.account()

    house.submit(author, [f"you@{domain}"], letter("refused", author[0]))

    (found,) = house.await_messages(author, 1)
    bounce = message_from_bytes(found)
    (about,) = [part for part in bounce.walk() if part["Final-Recipient"]]
    assert bounce.get_content_type() == "multipart/report"
    assert bounce["Return-Path"] == "<>"
    assert about["Action"] == "failed"
    assert about["Status"].startswith("5.")
    assert f"you@{domain}" in about["Final-Recipient"]
    eventually(lambda: _state(house, f"you@{domain}"), lambda state: state == "bounced")


def test_a_bounce_that_cannot_be_delivered_is_not_bounced(house: House, domain: str) -> None:
    nobody = f"nobody@{domain}"  # there is no such domain: a bounce to it cannot be delivered
    group = house.account()
    house.ask("PUT", f"/aliases/list-{domain}@example.test", {"targets": [f"x@gone.{domain}"]})

    house.send(nobody, [f"list-{domain}@example.test"], letter("double", nobody))

    def states() -> list[str]:
        found = house.ask("GET", f"/trace?recipient={nobody}")["items"]
        whole = [house.ask("GET", f"/trace/{one['id']}") for one in found]
        return [row["state"] for timeline in whole for row in timeline["recipients"]]

    assert eventually(states, lambda found: sorted(found) == ["discarded", "expanded"])
    assert house.messages(group) == []


def test_a_dead_server_and_a_hanging_one_are_passed_over(
    house: House, world: OutsideWorld, domain: str
) -> None:
    dead, hanging, alive = world.server(), world.server(), world.server()
    hanging.start("-W", "ehlo:30")
    alive.start()
    world.domain(domain, dead, hanging, alive)
    author = house.account()

    house.submit(author, [f"you@{domain}"], letter("patience", author[0]))

    (found,) = alive.await_letters()
    assert found["Subject"] == "patience"
    assert hanging.letters() == []


def test_a_forward_goes_out_with_a_sender_of_ours(house: House, sink: Sink, domain: str) -> None:
    sink.start()
    reader = house.account()
    forward = {"targets": [f"you@{domain}"], "keep_copy": True}
    house.ask("PUT", f"/forwards/{reader[0]}", forward)
    sent = letter("forwarded")

    house.send("stranger@elsewhere.test", [reader[0]], sent)

    (found,) = sink.await_letters()
    assert house.await_messages(reader, 1)[0].endswith(sent)
    assert found["X-Mail-Args"].partition(">")[0].endswith("@example.test")
    assert "stranger@elsewhere.test" not in found["X-Mail-Args"]


def test_a_route_overrules_mx_within_seconds(
    house: House, world: OutsideWorld, sink: Sink, domain: str
) -> None:
    smarthost = world.server()
    smarthost.start()
    sink.start()
    author = house.account()
    house.submit(author, [f"you@{domain}"], letter("before", author[0]))
    sink.await_letters()

    house.ask("PUT", f"/routes/{domain}", {"hops": [f"{smarthost.address}:{world.port}"]})

    def send_and_look() -> list[str]:
        house.submit(author, [f"you@{domain}"], letter("after", author[0]))
        return [one["Subject"] for one in smarthost.letters()]

    assert "after" in eventually(send_and_look, bool, within=15)


def test_held_mail_of_a_domain_goes_when_the_operator_flushes_it(
    house: House, sink: Sink, domain: str
) -> None:
    sink.start()
    author = house.account()
    house.ask("PUT", f"/routes/{domain}", {"hops": ["direct"], "hold": True})
    way = house.ask("GET", f"/way?domain={domain}")
    assert (way["by"], way["domain"], way["hold"]) == ("route", domain, True)

    def submit_and_look() -> str:  # the route is seen within seconds
        recipient = f"{secrets.token_hex(4)}@{domain}"
        house.submit(author, [recipient], letter("held", author[0]))
        return eventually(lambda: _state(house, recipient), lambda s: s in {"deferred", "relayed"})

    eventually(submit_and_look, lambda state: state == "deferred")
    before = len(sink.letters())

    def flushed() -> int:  # what is put off at this moment is left alone
        with demo.api(house.demo) as api:
            api.post("/queue/flush", json={"domain": domain}).raise_for_status()
        return len(sink.letters())

    assert eventually(flushed, lambda letters: letters == before + 1) == before + 1
