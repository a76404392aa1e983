"""Learning: a message counts once, as what was last said of it, however often it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.storage.pool import Pool, Queries, Tx, transaction

_BEGIN = "insert into bayes_corpora (owner) values ($1) on conflict do nothing"
# Row lock: who learns for the same owner waits, so that no lesson is read twice before it is kept.
_LOCK = "select from bayes_corpora where owner = $1 for update"
_KNOWN = "select digest, is_spam from bayes_lessons where owner = $1 and digest = any ($2::bytea[])"
_KEEP = """
    insert into bayes_lessons (owner, digest, is_spam, learned)
    select $1, digest, is_spam, current_date from unnest($2::bytea[], $3::boolean[]) as l (digest, is_spam)
        on conflict (owner, digest) do update set is_spam = excluded.is_spam, learned = excluded.learned
"""
_DROP = "delete from bayes_lessons where owner = $1 and digest = any ($2::bytea[])"
_MORE = """
    insert into bayes_tokens as t (owner, token, spam, ham, seen)
    select $1, token, spam, ham, current_date
      from unnest($2::bigint[], $3::int[], $4::int[]) as d (token, spam, ham)
        on conflict (owner, token) do update set
           spam = t.spam + excluded.spam, ham = t.ham + excluded.ham, seen = excluded.seen
"""
# What has expired meanwhile is not there any more to be taken away.
_LESS = """
    update bayes_tokens t set spam = greatest(t.spam - d.spam, 0), ham = greatest(t.ham - d.ham, 0)
      from unnest($2::bigint[], $3::int[], $4::int[]) as d (token, spam, ham)
     where t.owner = $1 and t.token = d.token
"""
_CLEAR = """
    delete from bayes_tokens where owner = $1 and token = any ($2::bigint[]) and spam = 0 and ham = 0
"""
_TOTALS = """
    update bayes_corpora set spam = greatest(spam + $2, 0), ham = greatest(ham + $3, 0) where owner = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a message is.

    Attributes:
        digest: Tells it from all others.
        tokens: Its tokens, each once.
        is_spam: What it is; None if it shall be forgotten.
    """

    digest: bytes
    tokens: Sequence[int]
    is_spam: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What became of lessons.

    Attributes:
        new: Messages that were not known.
        changed: Messages that had been learned the other way.
        known: Messages of which the same had been said, or which could not be forgotten.
        forgotten: Messages that count no more.
    """

    new: int = 0
    changed: int = 0
    known: int = 0
    forgotten: int = 0


@dataclass(slots=True)
class _Sum:
    """How counts change: by kind, spam before ham."""

    more: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))
    less: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))
    messages: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, lesson: Lesson, *, is_spam: bool) -> None:
        self.more[not is_spam].update(lesson.tokens)
        self.messages[not is_spam] += 1

    def take_away(self, lesson: Lesson, *, is_spam: bool) -> None:
        self.less[not is_spam].update(lesson.tokens)
        self.messages[not is_spam] -= 1


async def learn(queries: Pool | Tx, owner: int, lessons: Sequence[Lesson]) -> Learned:
    """Learn ``lessons`` for ``owner``, all or none; of one message the last word counts."""
    last = {lesson.digest: lesson for lesson in lessons}
    async with transaction(queries) as tx:
        await tx.execute(_BEGIN, owner)
        await tx.execute(_LOCK, owner)
        known: dict[bytes, bool] = dict(await tx.fetch(_KNOWN, owner, list(last)))
        fresh = [each for each in last.values() if each.is_spam != known.get(each.digest)]
        sums = _Sum()
        for lesson in fresh:
            if lesson.digest in known:
                sums.take_away(lesson, is_spam=known[lesson.digest])
            if lesson.is_spam is not None:
                sums.add(lesson, is_spam=lesson.is_spam)
        await _keep(tx, owner, fresh, sums)
    forgotten = sum(each.is_spam is None for each in fresh)
    changed = sum(each.digest in known for each in fresh) - forgotten
    return Learned(
        new=len(fresh) - changed - forgotten,
        changed=changed,
        known=len(lessons) - len(fresh),
        forgotten=forgotten,
    )


async def _keep(tx: Queries, owner: int, fresh: Sequence[Lesson], sums: _Sum) -> None:
    if not fresh:
        return
    told = [each for each in fresh if each.is_spam is not None]
    await tx.execute(_KEEP, owner, [each.digest for each in told], [each.is_spam for each in told])
    await tx.execute(_DROP, owner, [each.digest for each in fresh if each.is_spam is None])
    gone = _columns(sums.less)
    if gone[0]:
        await tx.execute(_LESS, owner, *gone)
    more = _columns(sums.more)
    if more[0]:
        await tx.execute(_MORE, owner, *more)
    if gone[0]:
        await tx.execute(_CLEAR, owner, gone[0])
    await tx.execute(_TOTALS, owner, *sums.messages)


def _columns(by_kind: tuple[Counter[int], Counter[int]]) -> tuple[list[int], list[int], list[int]]:
    """Return tokens in order, and how often each stood in spam and in ham."""
    spam, ham = by_kind
    tokens = sorted(spam.keys() | ham.keys())
    return tokens, [spam[each] for each in tokens], [ham[each] for each in tokens]
