"""The issuer: found, asked for its keys as seldom as it can be, done without while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from posthouse.credentials.bearer import Bearer, Denied
from posthouse.credentials.exchange import (
    Accepted,
    Channel,
    Claim,
    Identity,
    Password,
    Refused,
    Verdict,
)
from posthouse.credentials.oidc import MAX_OCTETS, REFRESH, SEEK, STALE, Issuer, is_safe
from posthouse.credentials.tokens import Terms
from posthouse.mail.errors import Unavailable
from support import issuer as local
from support.issuer import AUDIENCE, CONFIGURATION, SigningKey, running_issuer

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)
ANNA = Accepted(Identity(account_id=7, address="anna@example.test"))
KEYS = "/realm/keys"


class Accounts:
    """Knows anna."""

    async def judge(self, attempt: object, _: Channel) -> Verdict | None:
        assert isinstance(attempt, Claim)
        if attempt.user == "away@example.test":
            raise Unavailable("directory is away")
        return ANNA if attempt.user == "anna@example.test" else Refused()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time.total_seconds() + 1


@dataclass
class Scene:
    """An issuer on this machine, and us."""

    issuer: local.Issuer
    link: Issuer
    clock: Clock

    async def judge(self, token: str, user: str = "") -> object:
        return await self.link.judge(Bearer(user=user, token=token), CHANNEL)

    async def fetched(self) -> None:
        """Wait until no fetch is under way."""
        while self.link._fetching is not None:
            await asyncio.shield(self.link._fetching)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    clock = Clock()
    async with running_issuer() as issuer:
        terms = Terms(issuer=issuer.url, audiences=(AUDIENCE,))
        async with Issuer(terms, Accounts(), clock=clock) as link:
            yield Scene(issuer, link, clock)


async def test_a_token_lets_its_owner_in(scene: Scene) -> None:
    assert await scene.judge(scene.issuer.token()) == ANNA
    assert await scene.judge(scene.issuer.token(), "Anna@Example.test") == ANNA
    assert scene.issuer.asked == [CONFIGURATION, KEYS]


async def test_what_is_no_token_is_left_to_others(scene: Scene) -> None:
    said = Password(user="anna", password="x")  # noqa: S106 - no secret

    assert await scene.link.judge(said, CHANNEL) is None
    assert scene.issuer.asked == []


@pytest.mark.parametrize("email", ["nobody@example.test", "anna", "a b@c"])
async def test_only_an_account_is_let_in(scene: Scene, email: str) -> None:
    assert await scene.judge(scene.issuer.token(email=email)) == Denied()


async def test_nobody_acts_for_somebody_else(scene: Scene) -> None:
    assert await scene.judge(scene.issuer.token(), "bert@example.test") == Denied()


async def test_no_token_is_no_reason_to_ask_the_issuer(scene: Scene) -> None:
    assert await scene.judge("") == Denied()
    assert await scene.judge("rubbish") == Denied()


async def test_an_outage_of_the_directory_is_no_refusal(scene: Scene) -> None:
    with pytest.raises(Unavailable, match="directory"):
        await scene.judge(scene.issuer.token(email="away@example.test"))


async def test_many_logins_share_one_fetch(scene: Scene) -> None:
    token = scene.issuer.token()

    assert await asyncio.gather(*(scene.judge(token) for _ in range(20))) == [ANNA] * 20
    assert scene.issuer.asked == [CONFIGURATION, KEYS]


async def test_a_new_key_is_found_when_a_token_needs_it(scene: Scene) -> None:
    await scene.judge(scene.issuer.token())
    scene.issuer.keys = [SigningKey("EdDSA", id="second")]
    scene.clock.pass_by(SEEK)

    assert await scene.judge(scene.issuer.token()) == ANNA


async def test_made_up_keys_do_not_make_us_ask_again_and_again(scene: Scene) -> None:
    await scene.judge(scene.issuer.token())
    scene.clock.pass_by(SEEK)

    for number in range(50):
        forged = SigningKey("ES256", id=f"made up {number}").sign(scene.issuer.claims())
        assert await scene.judge(forged) == Denied()

    assert scene.issuer.asked == [CONFIGURATION, KEYS] * 2


async def test_old_keys_serve_while_new_ones_are_fetched(scene: Scene) -> None:
    old = scene.issuer.token()
    await scene.judge(old)
    scene.issuer.keys = [SigningKey("ES256", id="second")]
    scene.clock.pass_by(REFRESH)

    assert await scene.judge(old) == ANNA
    await scene.fetched()
    assert await scene.judge(old) == Denied()  # its key was withdrawn


async def test_keys_at_hand_serve_while_the_issuer_is_away_but_not_for_ever(scene: Scene) -> None:
    token = scene.issuer.token()
    await scene.judge(token)
    scene.issuer.status = 503
    scene.clock.pass_by(REFRESH)
    assert await scene.judge(token) == ANNA
    await scene.fetched()
    scene.clock.pass_by(STALE)

    with pytest.raises(Unavailable, match="issuer"):
        await scene.judge(token)


async def test_an_issuer_that_was_away_is_asked_again(scene: Scene) -> None:
    scene.issuer.status = 404
    for _ in range(5):
        with pytest.raises(Unavailable, match="issuer"):
            await scene.judge(scene.issuer.token())
    assert scene.issuer.asked == [CONFIGURATION]

    scene.issuer.status = 200
    scene.clock.pass_by(SEEK)

    assert await scene.judge(scene.issuer.token()) == ANNA


async def test_a_configuration_of_somebody_else_is_not_believed(scene: Scene) -> None:
    scene.issuer.named = "https://evil.test"

    with pytest.raises(Unavailable, match="issuer"):
        await scene.judge(scene.issuer.token())


async def test_an_endless_answer_is_not_read_to_its_end(scene: Scene) -> None:
    scene.issuer.padding = MAX_OCTETS

    with pytest.raises(Unavailable, match="issuer"):
        await scene.judge(scene.issuer.token())


async def test_a_login_that_gives_up_does_not_end_the_fetch_of_the_others(scene: Scene) -> None:
    token = scene.issuer.token()
    first, second = (asyncio.create_task(scene.judge(token)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == ANNA


async def test_nobody_listens_there() -> None:
    terms = Terms(issuer="http://127.0.0.1:1", audiences=(AUDIENCE,))
    async with Issuer(terms, Accounts()) as link:
        with pytest.raises(Unavailable, match="issuer"):
            await link.judge(
                Bearer(user="", token=SigningKey("ES256").sign(local.Issuer().claims())), CHANNEL
            )


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example.test/realm", True),
        ("http://127.0.0.1:8080/realm", True),
        ("http://id.example.test/realm", False),
        ("http://127.0.0.1.evil.test/", False),
        ("ftp://localhost/", False),
        ("https:///x", False),
        ("", False),
    ],
)
def test_only_what_nobody_can_change_on_the_way_is_asked(url: str, *, safe: bool) -> None:
    assert is_safe(url) is safe


async def test_an_operator_can_have_it_examined(scene: Scene) -> None:
    assert await scene.link.examine() == 1
    scene.issuer.status = 404

    with pytest.raises(Unavailable, match="answered 404"):
        await scene.link.examine()
