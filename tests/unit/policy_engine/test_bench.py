"""The bench: when it asks for all of a message, when it says that it has nothing to do, what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from policy_engine.content.authenticated import Authenticated
from policy_engine.content.bench import Bench, Marks
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Authenticate, Pipeline
from policy_engine.content.sealing import Sealer
from policy_engine.content.verdict import Levels
from posthouse.mail.content import ContentQuestion, ContentVerdict

STAMPS = b"Received: x\r\nAuthentication-Results: mx.b.test; none\r\n"
QUESTION = ContentQuestion(
    id=UUID(int=7), hostname="mx.b.test", client="192.0.2.1", sender="anna@a.test",
    size=len(STAMPS) + 6, octets=STAMPS + b"\r\nbody",
)  # fmt: skip
LARGE = msgspec.structs.replace(QUESTION, size=10_000_000)
OF_ACCOUNT = msgspec.structs.replace(QUESTION, auth="anna@b.test")


@dataclass
class _Check:
    action: Action | None = None
    name: str = "check"
    if_away: Action | None = None
    wants_all: bool = False
    of_ours: bool = False
    of_strangers: bool = True

    async def __call__(self, case: Case) -> Sequence[Finding]:
        return [Finding(rule="FOUND", score=7.0, action=self.action, seen=case.blob)]


@dataclass
class _Seal:
    of_ours: bool = True
    of_strangers: bool = False

    async def __call__(self, case: Case, header: bytes) -> bytes:
        assert case.is_trusted
        assert header.endswith(b"\r\n\r\n")
        return b"DKIM-Signature: of %d octets\r\n" % len(header)


async def _nobody(_: Case) -> Authenticated:
    return Authenticated()


def _bench(
    *checks: _Check, authenticate: Authenticate | None = None, sealers: Sequence[Sealer] = ()
) -> Bench:
    async def ours(client: str, _: str) -> bool:
        return client == "10.0.0.1"

    pipeline = Pipeline(authenticate, checks, Levels(), timedelta(seconds=30))
    return Bench(pipeline, sealers, ours, Marks(), 10)


async def test_where_nothing_is_checked_it_need_not_be_asked() -> None:
    assert (await _bench().answer(QUESTION)).rest_seconds > 0


@pytest.mark.parametrize(
    ("bench", "of_others", "of_accounts"),
    [
        (_bench(), True, True),
        (_bench(authenticate=_nobody), False, True),
        (_bench(_Check()), False, True),
        (_bench(_Check(of_strangers=False)), True, True),
        (_bench(_Check(of_strangers=False, of_ours=True)), False, False),
        (_bench(sealers=[_Seal()]), False, False),
    ],
)
def test_it_rests_where_nobody_looks(bench: Bench, *, of_others: bool, of_accounts: bool) -> None:
    found = bench.rests(is_account=False), bench.rests(is_account=True)

    assert found == (of_others, of_accounts)


async def test_a_probe_is_told_that_it_judges() -> None:
    probe = msgspec.structs.replace(QUESTION, octets=b"", size=0, is_probe=True)

    assert await _bench(_Check()).answer(probe) == ContentVerdict()


async def test_a_scanner_of_all_octets_gets_them_before_anything_is_decided() -> None:
    bench = _bench(_Check(wants_all=True, action="reject"))

    assert await bench.answer(LARGE) == ContentVerdict(wants_all=True)
    assert not (await bench.answer(QUESTION)).wants_all
    again = msgspec.structs.replace(LARGE, blob="judging/x.eml")
    assert (await bench.answer(again)).action == "reject"


@pytest.mark.parametrize(
    ("action", "code", "enhanced"),
    [("reject", 550, (5, 7, 1)), ("tempfail", 451, (4, 7, 1)), ("discard", 250, (2, 0, 0))],
)
async def test_what_is_not_taken_has_no_header(
    action: Action, code: int, enhanced: tuple[int, int, int]
) -> None:
    said = await _bench(_Check(action=action)).answer(QUESTION)

    assert (said.action, said.code, said.enhanced) == (action, code, enhanced)
    assert (said.rules, said.decided_by, said.header) == ((("FOUND", 7.0),), ("FOUND",), b"")


async def test_mail_of_this_house_is_signed_as_it_is_stored() -> None:
    bench = _bench(sealers=[_Seal(), _Seal()])

    said = await bench.answer(OF_ACCOUNT)
    relayed = await bench.answer(msgspec.structs.replace(QUESTION, client="10.0.0.1"))

    own = b"Authentication-Results: mx.b.test;"
    first, _, rest = said.header.partition(own)
    size = len(own + rest)
    one = b"DKIM-Signature: of %d octets\r\n" % size
    assert first == b"DKIM-Signature: of %d octets\r\n" % (size + len(one)) + one
    assert relayed.header.startswith(b"DKIM-Signature: ")
    assert b"DKIM" not in (await bench.answer(QUESTION)).header


async def test_what_a_trusted_host_passes_on_by_lmtp_is_judged_as_a_strangers() -> None:
    bench = _bench(_Check(action="reject", of_ours=False), sealers=[_Seal()])
    ours = msgspec.structs.replace(QUESTION, client="10.0.0.1")

    assert (await bench.answer(ours)).header.startswith(b"DKIM-Signature")
    assert (await bench.answer(msgspec.structs.replace(ours, is_relay=True))).refuses
