r"""Who moves mail into \Junk and out of it trains the classifier; who throws it away does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from imap_gateway.training import Training, kind_of_move, kind_of_words
from posthouse.bayes.tokens import tokens_of
from posthouse.mail.errors import Unavailable
from posthouse.mail.ids import object_key
from posthouse.storage.bayes.corpora import SITE, corpus_of, counts
from posthouse.storage.bayes.wishes import TRIES
from posthouse.storage.pool import Pool
from postmaster.duties.training import Trainer
from support.imap import LETTER, Gateway, User, add_reader, gateway

pytestmark = pytest.mark.integration

WISHES = "select owner, is_spam from bayes_wishes order by owner, content_id"


async def _a_user(imap: Gateway) -> User:
    user = await imap.connect()
    await user.login()
    for name, use in (("Bad", "Junk"), ("Bin", "Trash")):
        await user.say(f"CREATE {name} (USE (\\{use}))")
    await user.append("INBOX", LETTER)
    await user.append("INBOX", LETTER)
    await user.say("SELECT INBOX")
    return user


async def _wishes(pool: Pool) -> list[tuple[int, bool]]:
    return [tuple(row) for row in await pool.fetch(WISHES)]


async def test_moving_into_junk_and_out_of_it_says_what_mail_is(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await _a_user(imap)

        await user.say("MOVE 1 Bad")
        assert await _wishes(pool) == [(SITE, True), (account, True)]

        await user.say("SELECT Bad")
        await user.say("COPY 1 INBOX")
        assert await _wishes(pool) == [(SITE, False), (account, False)]


async def test_what_was_moved_is_learned_once_for_who_moved_it(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user, trainer = await _a_user(imap), Trainer(pool, imap.house.blobs)

        async def learned() -> list[tuple[int, int]]:
            await trainer.learn_all()
            assert await _wishes(pool) == []
            found = [await corpus_of(pool, owner) for owner in (SITE, account)]
            return [(each.spam, each.ham) for each in found]

        await user.say("MOVE 1 Bad")
        assert await learned() == [(1, 0), (1, 0)]
        assert await counts(pool, account, tokens_of(LETTER)) == dict.fromkeys(
            tokens_of(LETTER), (1, 0)
        )
        await user.say("SELECT Bad")
        await user.say("STORE 1 +FLAGS ($Junk)")
        assert await learned() == [(1, 0), (1, 0)]

        await user.say("MOVE 1 INBOX")
        assert await learned() == [(0, 1), (0, 1)]


async def test_a_message_whose_object_is_gone_is_learned_from_no_more(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await _a_user(imap)
        await user.say("MOVE 1 Bad")
        objects = await pool.fetch("select distinct object_id from contents")
        await imap.house.blobs.delete([object_key(row["object_id"]) for row in objects])

        await Trainer(pool, imap.house.blobs).learn_all()

        assert await _wishes(pool) == []
        assert (await corpus_of(pool, SITE)).spam == 0


async def test_an_outage_of_the_store_only_delays_what_is_learned(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user, trainer = await _a_user(imap), Trainer(pool, imap.house.blobs)
        await user.say("MOVE 1 Bad")

        async def away(*_: object) -> bytes:
            raise Unavailable("store away")

        with monkeypatch.context() as outage:
            outage.setattr(imap.house.blobs, "get_range", away)
            for _ in range(TRIES + 1):
                with pytest.raises(Unavailable):
                    await trainer.learn_all()
        await trainer.learn_all()

        assert (await corpus_of(pool, SITE)).spam == 1


async def test_throwing_junk_away_and_sorting_other_mail_says_nothing(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await _a_user(imap)
        await user.say("MOVE 1 Bin")
        await user.say("COPY 1 Bad")
        await pool.execute("delete from bayes_wishes")
        await user.say("SELECT Bad")

        await user.say("MOVE 1 Bin")

        assert await _wishes(pool) == []


async def test_keywords_say_what_mail_is(pool: Pool, tmp_path: Path) -> None:
    account = await add_reader(pool)
    async with gateway(pool, tmp_path) as imap:
        user = await _a_user(imap)
        await user.say("STORE 1 +FLAGS.SILENT ($Junk)")
        await user.say("STORE 1 -FLAGS ($NotJunk)")
        assert await _wishes(pool) == [(SITE, True), (account, True)]

        await user.say("STORE 1:2 +FLAGS ($NotJunk \\Seen)")
        assert await _wishes(pool) == [(SITE, False)] * 2 + [(account, False)] * 2


async def test_nothing_is_noted_where_nobody_trains(pool: Pool) -> None:
    training = Training(pool, "off")

    await training.flagged(["$Junk"], (1, 1), [1])
    await training.moved(((), ("\\Junk",)), (1, 1), [1])

    assert await _wishes(pool) == []


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [((), ("\\Junk",), "spam"), (("\\Junk",), (), "ham"), (("\\Junk",), ("\\Trash",), None),
     (("\\Junk",), ("\\Junk",), None), (("\\Trash",), ("\\Junk", "\\Archive"), "spam"), ((), (), None)],
)  # fmt: skip
def test_what_a_move_says(
    source: tuple[str, ...], target: tuple[str, ...], kind: str | None
) -> None:
    assert kind_of_move(source, target) is {"spam": True, "ham": False, None: None}[kind]


def test_both_keywords_at_once_say_nothing() -> None:
    assert kind_of_words(["$JUNK", "$NotJunk"]) is None
    assert kind_of_words(["$JUNK", "x"]) is True
