"""What an account sent while nobody judged is judged at routing, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from policy_engine.content.bench import Bench, Marks
from policy_engine.content.key_watch import KeyWatch
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.signing import Signing
from policy_engine.content.verdict import Levels
from posthouse.authenticity.dkim import digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.making import make_pem, record_of
from posthouse.bus.moves import Ack
from posthouse.mail.content import ContentVerdict
from posthouse.mail.envelope import Inbound, Local
from posthouse.mail.header import header_end
from posthouse.mail.ids import new_id, object_key
from posthouse.runtime.dkim_keys import DkimSettings, SigningKeys
from posthouse.storage.dkim_keys import activate, add_dkim_key
from posthouse.storage.ledger import NewMail, NewRecipient, claim_unpublished
from posthouse.storage.ledger.settling import enter_discarded
from posthouse.storage.pool import transaction
from posthouse.storage.trace import timeline
from support.late_judging import ANNA, BERT, LETTER, Scanner, never, stored_of, unjudged
from support.names import FakeNames
from support.routing import Post

pytestmark = pytest.mark.integration


async def test_what_is_fine_goes_on_and_its_verdict_is_kept(post: Post, scanner: Scanner) -> None:
    mail = await unjudged(post, BERT)

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


async def test_what_is_refused_goes_back_to_the_account(post: Post, scanner: Scanner) -> None:
    scanner.action = "reject"
    mail = await unjudged(post, BERT, "x@far.test")

    assert await post.routing.route([mail]) == [Ack()]
    scanner.action = None  # decided once
    assert await post.routing.route([mail]) == [Ack()]

    [report] = post.told
    assert isinstance(report, Inbound)
    assert [to.address for to in report.recipients] == [ANNA]
    assert b"Not like this" in await post.blobs.get(report.blob)
    assert [state for _, _, state, _ in await post.states(mail)] == ["bounced"] * 2
    assert len(scanner.seen) == 1


async def test_what_looks_like_spam_is_marked_for_junk(post: Post, scanner: Scanner) -> None:
    scanner.action = "quarantine"
    mail = await unjudged(post, BERT)

    await post.routing.route([mail])
    await post.routing.route([mail])

    assert [one.junk for _, one in post.sent if isinstance(one, Local)] == [True, True]


async def test_what_is_discarded_ends_by_its_rule(post: Post, scanner: Scanner) -> None:
    scanner.action = "discard"
    mail = await unjudged(post, BERT)

    assert await post.routing.route([mail]) == [Ack()]

    told = await timeline(post.pool, mail.id)
    assert told is not None
    assert [(to.state, to.reply) for to in told.recipients] == [("discarded", "SCANNED")]
    assert not post.sent


async def test_it_is_stored_as_if_it_had_been_judged_when_it_came(
    post: Post, scanner: Scanner
) -> None:
    scanner.action = "tag"
    mail = await unjudged(post, BERT, "x@far.test")

    await post.routing.route([mail])
    first = await stored_of(post, mail)
    await post.routing.route([mail])  # the broker was not heard

    assert first.endswith(b"\r\n" + LETTER)
    assert first.count(b"X-Seal: ") == first.count(b"X-Spam-Flag: YES") == 1
    assert first.startswith(b"X-Seal: 1 " + sha256(b"body\r\n").hexdigest().encode())
    assert b"Authentication-Results: mx.example.test;" in first
    assert await stored_of(post, mail) == first
    assert {one.size for _, one in post.sent} == {len(first)}
    assert {one.blob for _, one in post.sent} == {object_key(mail.id)}
    assert await post.blobs.get(mail.blob) == LETTER


async def test_it_leaves_signed_by_its_author_s_domain_once(post: Post) -> None:
    settings = DkimSettings.model_construct(dkim_secret=None)
    pem = make_pem("ed25519")
    vault = await settings.dkim_vault(post.pool)
    await add_dkim_key(
        post.pool, vault.seal("example.test", "s1", pem), record_of(pem), rotates=False
    )
    async with transaction(post.pool) as tx:
        await activate(tx, "example.test", "s1")
    keys = SigningKeys(post.pool, settings)
    async with KeyWatch(keys) as watch:
        pipeline = Pipeline(None, [], Levels(), timedelta(seconds=30))
        post.judge_late(Bench(pipeline, [Signing(keys, watch)], never, Marks(), 10))
        letter = b"From: <anna@example.test>\r\n" + LETTER
        mail = await unjudged(post, "x@far.test", octets=letter)

        await post.routing.route([mail])
        await post.routing.route([mail])

    stored = await stored_of(post, mail)
    header = Header(stored[: header_end(stored)])
    names = FakeNames({"s1._domainkey.example.test": {"TXT": [record_of(pem)]}})
    digests = digest_bodies([b"body\r\n"], {"simple"})
    found = await verify(names, header, signatures_in(header), digests)
    assert [(each.result, each.domain) for each in found] == [("pass", "example.test")]
    assert stored.endswith(letter)


@pytest.mark.parametrize("after", ["record", "write"])
async def test_who_dies_in_between_leaves_what_the_next_one_ends(
    post: Post, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    mail = await unjudged(post, BERT)
    step = "policy_engine.late.judging.note_written"
    if after == "record":
        step = "policy_engine.late.originals.Originals.write"

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as killed:
        killed.setattr(step, dies)
        with pytest.raises(asyncio.CancelledError):
            await post.routing.route([mail])
    assert post.sent == []
    [again] = await claim_unpublished(post.pool, timedelta(), 10)
    assert again == mail
    assert await post.routing.route([mail]) == [Ack()]

    stored = await stored_of(post, mail)
    assert stored.count(b"X-Seal: 1 ") == stored.count(b"X-Seal") == 1
    assert len(scanner.seen) == 1
    assert [one.size for _, one in post.sent] == [len(stored)]


@pytest.mark.usefixtures("scanner")
async def test_two_pods_write_one_object(post: Post) -> None:
    mail = await unjudged(post, BERT)

    await asyncio.gather(*(post.routing.route([mail]) for _ in range(4)))

    stored = await stored_of(post, mail)
    assert stored.count(b"X-Seal: ") == 1
    assert {one.size for _, one in post.sent} == {len(stored)}
    assert await _sizes(post) == [len(stored)]


async def _sizes(post: Post) -> list[int]:
    return [row["size"] for row in await post.pool.fetch("select size from envelopes")]


@pytest.mark.parametrize("octets", [600 * 1024, 3 * 1024 * 1024])
async def test_a_large_one_is_shown_in_part_and_copied_octet_for_octet(
    post: Post, scanner: Scanner, octets: int
) -> None:
    body = (b"0123456789abcdef" * 4 + b"\r\n") * (octets // 66)
    mail = await unjudged(post, BERT, octets=b"Subject: large\r\n\r\n" + body)

    assert await post.routing.route([mail]) == [Ack()]

    [case] = scanner.seen
    assert len(case.octets) < 300 * 1024
    assert not case.is_whole
    stored = await stored_of(post, mail)
    assert stored.endswith(b"\r\nSubject: large\r\n\r\n" + body)
    assert sha256(body).hexdigest().encode() in stored[:200]
    assert [one.size for _, one in post.sent] == [len(stored)]


async def test_the_sweeper_publishes_it_as_unjudged_and_junk_as_junk(post: Post) -> None:
    late, junk = await unjudged(post, BERT), await post.accepted(BERT, junk=True)

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
