"""What an account sent while nobody judged is judged at routing, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from policy_engine.content.bench import Bench, Marks
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.late_judging import AGAIN, LateJudging
from posthouse.bus.moves import Ack, Wait
from posthouse.mail.content import ContentVerdict
from posthouse.mail.envelope import Inbound, Local
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import NewMail, NewRecipient, claim_unpublished
from posthouse.storage.ledger.settling import enter_discarded
from posthouse.storage.trace import timeline
from support.routing import Post

pytestmark = pytest.mark.integration

ANNA, BERT = "anna@example.test", "bert@example.test"


@dataclass
class _Scanner:
    """A check of accounts' mail that says what it is told, or is away."""

    action: Action | None = None
    name: str = "scanner"
    if_away: Action | None = "tempfail"
    wants_all: bool = True
    of_ours: bool = True
    of_strangers: bool = True
    is_away: bool = False
    seen: list[Case] = field(default_factory=list)

    async def __call__(self, case: Case) -> Sequence[Finding]:
        self.seen.append(case)
        if self.is_away:
            raise Unavailable("scanner is away")
        return [Finding(rule="SCANNED", score=1.5, action=self.action, text="Not like this")]


async def _never(_client: str, _sender: str) -> bool:
    return False


@pytest.fixture
def scanner(post: Post) -> _Scanner:
    found = _Scanner()
    pipeline = Pipeline(None, [found], Levels(), timedelta(seconds=30))
    bench = Bench(pipeline, [], _never, Marks(), 10)
    late = LateJudging(bench=bench, pool=post.pool, blobs=post.blobs)
    post.routing = replace(post.routing, late=late)
    return found


async def _unjudged(post: Post, *recipients: str, sender: str = ANNA) -> Inbound:
    mail = await post.accepted(*recipients, sender=sender, auth=ANNA, unjudged=True)
    assert mail.unjudged
    return mail


async def test_what_is_fine_goes_on_and_its_verdict_is_kept(post: Post, scanner: _Scanner) -> None:
    mail = await _unjudged(post, BERT)

    assert await post.routing.route([mail, mail]) == [Ack(), Ack()]
    await post.routing.route([mail])

    [case, *_] = scanner.seen
    told = await timeline(post.pool, mail.id)
    assert told is not None
    assert (case.auth, case.sender, case.blob) == (ANNA, ANNA, mail.blob)
    assert told.envelope.verdict is not None
    assert told.envelope.verdict["rules"] == [["SCANNED", 1.5]]
    assert "accept, 1.5 points: SCANNED 1.5" in [event.detail for event in told.events]
    assert post.sent[0][1].id == mail.id


async def test_what_is_refused_goes_back_to_the_account(post: Post, scanner: _Scanner) -> None:
    scanner.action = "reject"
    mail = await _unjudged(post, BERT, "x@far.test")

    assert await post.routing.route([mail]) == [Ack()]
    scanner.action = None  # decided once
    assert await post.routing.route([mail]) == [Ack()]

    [report] = post.told
    assert isinstance(report, Inbound)
    assert [to.address for to in report.recipients] == [ANNA]
    assert b"Not like this" in await post.blobs.get(report.blob)
    assert [state for _, _, state, _ in await post.states(mail)] == ["bounced"] * 2
    assert len(scanner.seen) == 1


async def test_what_looks_like_spam_is_marked_for_junk(post: Post, scanner: _Scanner) -> None:
    scanner.action = "quarantine"
    mail = await _unjudged(post, BERT)

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert [one.junk for _, one in post.sent if isinstance(one, Local)] == [True, True]


async def test_what_is_discarded_ends_by_its_rule(post: Post, scanner: _Scanner) -> None:
    scanner.action = "discard"
    mail = await _unjudged(post, BERT)

    assert await post.routing.route([mail]) == [Ack()]

    told = await timeline(post.pool, mail.id)
    assert told is not None
    assert [(to.state, to.reply) for to in told.recipients] == [("discarded", "SCANNED")]
    assert not post.sent


async def test_it_waits_for_a_scanner_that_is_away(post: Post, scanner: _Scanner) -> None:
    scanner.is_away = True
    mail, other = await _unjudged(post, BERT), await post.accepted(BERT)

    assert await post.routing.route([mail, other]) == [Wait(AGAIN), Ack()]
    scanner.is_away = False
    assert await post.routing.route([mail]) == [Ack()]

    assert [envelope.id for _, envelope in post.sent] == [other.id, mail.id]


async def test_the_sweeper_publishes_it_as_unjudged_and_junk_as_junk(post: Post) -> None:
    late, junk = await _unjudged(post, BERT), await post.accepted(BERT, junk=True)

    found = await claim_unpublished(post.pool, timedelta(), 10)

    assert sorted(found, key=lambda each: each.id) == [late, junk]


async def test_what_was_thrown_away_at_the_door_stands_in_the_trace(post: Post) -> None:
    inbound = Inbound(id=new_id(), sender="x@far.test", size=7, recipients=())
    verdict = ContentVerdict(action="discard", decided_by=("VIRUS",), rules=(("VIRUS", 0.0),))
    mail = NewMail(
        id=inbound.id, origin="smtp", sender="x@far.test", size=7, verdict=verdict.record,
        recipients=(NewRecipient(0, ANNA), NewRecipient(1, BERT)), envelope=inbound,
    )  # fmt: skip

    await enter_discarded(post.pool, mail, "VIRUS")
    await enter_discarded(post.pool, mail, "VIRUS")

    told = await timeline(post.pool, inbound.id)
    assert told is not None
    assert [(to.state, to.reply) for to in told.recipients] == [("discarded", "VIRUS")] * 2
    assert [event.what for event in told.events] == ["accepted", "judged", "discarded", "discarded"]
    assert not await claim_unpublished(post.pool, timedelta(), 10)
