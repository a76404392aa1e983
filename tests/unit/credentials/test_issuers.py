"""Several issuers: a token is judged by its own, and by no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from posthouse.credentials.authenticator import Link
from posthouse.credentials.bearer import Bearer, Denied
from posthouse.credentials.exchange import Accepted, Channel, Claim, Identity, Password, Verdict
from posthouse.credentials.issuers import Issuers
from posthouse.credentials.oidc import Issuer
from posthouse.credentials.tokens import Terms
from support import issuer as local
from support.issuer import AUDIENCE, running_issuer

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)


class Everybody:
    async def judge(self, attempt: object, _: Channel) -> Verdict | None:
        assert isinstance(attempt, Claim)
        return Accepted(Identity(account_id=7, address=attempt.user))


@dataclass
class Scene:
    """Two issuers on this machine, and us."""

    staff: local.Issuer
    guests: local.Issuer
    link: Issuers

    async def judge(self, token: str) -> object:
        return await self.link.judge(Bearer(user="", token=token), CHANNEL)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        staff = await stack.enter_async_context(running_issuer())
        guests = await stack.enter_async_context(running_issuer())
        links: dict[str, Link] = {}
        for each in (staff, guests):
            terms = Terms(issuer=each.url, audiences=(AUDIENCE,))
            links[each.url] = await stack.enter_async_context(Issuer(terms, Everybody()))
        yield Scene(staff, guests, Issuers(links))


async def test_each_is_asked_for_its_own_tokens(scene: Scene) -> None:
    for issuer, other in ((scene.staff, scene.guests), (scene.guests, scene.staff)):
        issuer.asked.clear()
        other.asked.clear()
        verdict = await scene.judge(issuer.token(email="bert@example.test"))

        assert verdict == Accepted(Identity(account_id=7, address="bert@example.test"))
        assert issuer.asked
        assert not other.asked


async def test_nobody_signs_in_the_name_of_another(scene: Scene) -> None:
    forged = scene.guests.token(iss=scene.staff.url)

    assert isinstance(await scene.judge(forged), Denied)


@pytest.mark.parametrize("issuer", ["https://elsewhere.test", None])
async def test_a_token_of_nobody_is_refused(scene: Scene, issuer: object) -> None:
    assert isinstance(await scene.judge(scene.staff.token(iss=issuer)), Denied)


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
async def test_what_is_no_token_is_refused(scene: Scene, token: str) -> None:
    assert isinstance(await scene.judge(token), Denied)


async def test_one_that_is_away_is_in_nobodys_way(scene: Scene) -> None:
    scene.staff.status = 503

    assert isinstance(await scene.judge(scene.guests.token()), Accepted)


async def test_a_password_is_not_for_them(scene: Scene) -> None:
    said = Password(user="anna", password="x")  # noqa: S106 - none
    assert await scene.link.judge(said, CHANNEL) is None
