"""A stolen account: it sends all at once, is paused, operators are told, and its mail goes or ends."""

import secrets
import smtplib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from onemachine.options import DOMAIN
from support.letters import letter
from support.outside_world import OutsideWorld, Sink
from support.stack import House, a_house, eventually

pytestmark = pytest.mark.journey

WANTED = 200  # messages that the thief wants to send
USUAL = 20  # recipients a day that nobody minds


@pytest.fixture(scope="module")
def watched(world: OutsideWorld) -> Iterator[House]:
    """A house that looks at who sends how much."""
    chosen = {
        "POSTHOUSE_OUTBOUND_SUSPECT_VOLUME": str(USUAL),
        "POSTHOUSE_OUTBOUND_ALERT_ADDRESS": f"alerts@{DOMAIN}",
    }
    with a_house({**world.settings, **chosen}) as opened:
        yield opened


def test_what_a_stolen_account_sent_is_held_and_goes_once_through_kills_of_policy(
    watched: House, world: OutsideWorld
) -> None:
    domain = f"d{secrets.token_hex(3)}.test"
    sink = world.server()
    sink.start()
    world.domain(domain, sink)
    thief, alerts = watched.account(), watched.account("alerts")
    policy = watched.stack.service("policy")

    with _begun(watched, thief, domain) as late:
        with watched.killed(policy):
            accepted = _send_all(watched, thief, domain)
        watched.await_ready()
        eventually(lambda: _paused(watched), lambda found: found == [thief[0]])
        assert late.data(letter("offer late", thief[0]))[0] == 250  # taken, and held for certain
        accepted.append("offer late")

    assert USUAL < len(accepted) <= WANTED
    assert _asked(watched, thief) == (
        550,
        b"5.7.1 Sending from this account is paused: ask your administrator",
    )
    assert watched.messages(thief) == []  # it can read its mail
    (alert,) = watched.await_messages(alerts, 1)
    assert f"posthouse account resume {thief[0]} --release".encode() in alert
    eventually(lambda: _open(watched, thief), lambda states: set(states) <= {"held", "relayed"})
    went = _sent(sink)
    held = _open(watched, thief)["held"]
    assert held > 0
    assert sum(went.values()) == len(accepted) - held

    watched.ask("POST", f"/paused-accounts/{thief[0]}/resume", json={"ending": "release"})
    with watched.killed(policy):
        pass

    eventually(lambda: _sent(sink), lambda sent: len(sent) == len(accepted), 90)
    eventually(lambda: _open(watched, thief), lambda states: set(states) == {"relayed"})
    assert _sent(sink) == Counter(accepted)


@contextmanager
def _begun(house: House, user: tuple[str, str], domain: str) -> Iterator[smtplib.SMTP]:
    """Lend a session of ``user`` with a sender and a recipient, before anything is wrong with him."""
    with smtplib.SMTP("127.0.0.1", house.port("submission"), timeout=60) as client:
        client.starttls(context=house.trust)
        client.login(*user)
        assert client.mail(user[0])[0] == 250
        assert client.rcpt(f"late@{domain}")[0] == 250
        yield client


def _send_all(house: House, user: tuple[str, str], domain: str) -> list[str]:
    """Submit until we are refused; return what was accepted."""
    accepted: list[str] = []
    with smtplib.SMTP("127.0.0.1", house.port("submission"), timeout=60) as client:
        client.starttls(context=house.trust)
        client.login(*user)
        for n in range(WANTED):
            try:
                client.sendmail(user[0], [f"x{n}@{domain}"], letter(f"offer {n}", user[0]))
            except smtplib.SMTPSenderRefused:
                break
            accepted.append(f"offer {n}")
    return accepted


def _asked(house: House, user: tuple[str, str]) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", house.port("submission"), timeout=60) as client:
        client.starttls(context=house.trust)
        client.login(*user)
        return client.mail(user[0])


def _paused(house: House) -> list[str]:
    return [each["account"] for each in house.ask("GET", "/paused-accounts")["items"]]


def _open(house: House, user: tuple[str, str]) -> Counter[str]:
    found = house.ask("GET", f"/trace?sender={user[0]}&limit=1000")["items"]
    states: Counter[str] = Counter()
    for each in found:
        told = house.ask("GET", f"/trace/{each['id']}")
        states.update(to["state"] for to in told["recipients"])
    return states


def _sent(sink: Sink) -> Counter[str]:
    return Counter(one["Subject"] for one in sink.letters())
