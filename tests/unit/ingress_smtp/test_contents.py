"""Asking policy about whole messages: what lies in the store meanwhile, and who is asked when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from ingress_smtp.contents import Contents
from ingress_smtp.draft import Letter
from ingress_smtp.stamps import Arrival
from posthouse.mail.content import ContentQuestion, ContentVerdict
from posthouse.mail.errors import TemporaryFailure, Unavailable
from posthouse.mail.ids import judging_key

IDENT = UUID(int=7)
KEY = judging_key(IDENT)
LETTER = Letter(IDENT, b"Subject: x\r\n\r\nx\r\n", 17, True)
REJECTED = ContentVerdict(action="reject", code=550)


class Policy:
    """Wants to see all of it, then says what it is told to say."""

    def __init__(self, end: ContentVerdict | BaseException) -> None:
        self.end = end
        self.asked: list[ContentQuestion] = []

    async def ask(self, question: ContentQuestion) -> ContentVerdict:
        self.asked.append(question)
        if not question.blob and not question.is_probe:
            return ContentVerdict(wants_all=True)
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


class Shelf:
    """Remembers what lies in the store."""

    def __init__(self) -> None:
        self.lies: dict[str, bytes] = {}
        self.lay: list[str] = []

    async def put(self, key: str, octets: bytes) -> None:
        self.lies[key] = octets
        self.lay.append(key)

    async def put_file(self, key: str, descriptor: int) -> None:
        raise AssertionError(f"{key} comes as octets, not as the file {descriptor}")

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.lies.pop(key, None)


def arrival(auth: str = "") -> Arrival:
    return Arrival(
        client="192.0.2.1", hello="x", extended=True, tls=None, auth=auth, is_submission=bool(auth),
        sender="", recipients=(), body="7BIT", smtputf8=False,
    )  # fmt: skip


async def asked(policy: Policy, shelf: Shelf, auth: str = "") -> ContentVerdict | None:
    contents = Contents(policy, shelf, "mx.example.test")
    contents._rests = dict.fromkeys((True, False))  # it is judged, as was said before
    return await contents.judge(arrival(auth), LETTER)


async def test_what_is_stored_to_be_judged_goes_again() -> None:
    policy, shelf = Policy(REJECTED), Shelf()

    assert await asked(policy, shelf) is REJECTED

    assert [each.blob for each in policy.asked] == ["", KEY]
    assert (shelf.lay, shelf.lies) == ([KEY], {})


@pytest.mark.parametrize("end", [Unavailable("away"), ContentVerdict(wants_all=True)])
async def test_it_goes_where_nobody_answers_and_a_stranger_comes_again(
    end: ContentVerdict | BaseException,
) -> None:
    shelf = Shelf()

    with pytest.raises(TemporaryFailure) as told:
        await asked(Policy(end), shelf)
    assert told.value.status.code == 451
    assert await asked(Policy(end), shelf, auth="anna@example.test") is None

    assert (shelf.lay, shelf.lies) == ([KEY, KEY], {})


async def test_it_goes_when_the_client_is_gone() -> None:
    shelf = Shelf()

    with pytest.raises(asyncio.CancelledError):
        await asked(Policy(asyncio.CancelledError()), shelf)

    assert (shelf.lay, shelf.lies) == ([KEY], {})


async def test_where_nothing_is_judged_that_is_asked_again_after_a_while() -> None:
    now = 100.0
    policy = Policy(ContentVerdict(rest_seconds=5))
    contents = Contents(policy, Shelf(), "mx.example.test", clock=lambda: now)

    for moment, probes in ((100.0, 1), (104.9, 1), (105.0, 2)):
        now = moment
        assert await contents.judge(arrival(), LETTER) == ContentVerdict()
        assert [each.is_probe for each in policy.asked] == [True] * probes
    await contents.judge(arrival("anna@example.test"), LETTER)
    assert len(policy.asked) == 3  # of accounts it is another question

    policy.end, now = ContentVerdict(), 200.0
    await contents.judge(arrival(), LETTER)
    assert [each.is_probe for each in policy.asked[3:]] == [True, False, False]
