"""What a session is told, for every order in which things happen."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.view.flags import DELETED, SEEN
from imap_gateway.view.position import News, Position
from imap_gateway.view.rows import Rows
from imap_gateway.view.shared import MAX_EVENTS, SharedView


def packed(uids: Iterable[int], modseq: int = 1, flags: int = 0) -> bytes:
    return b"".join(struct.pack(">IIqqi", uid, flags, modseq, 1000 + uid, 10) for uid in uids)


def flags_step(*changes: tuple[int, int], keywords: str = "") -> bytes:
    pairs = b"".join(struct.pack(">II", uid, flags) for uid, flags in changes)
    return struct.pack(">i", len(changes)) + pairs + keywords.encode()


def keywords(rows: Rows) -> dict[int, tuple[int, ...]]:
    return {uid: rows.keywords[at] for at, uid in enumerate(rows.uids) if rows.keywords[at]}


def a_view(count: int = 5) -> SharedView:
    view = SharedView(1, 2, 3)
    rows = Rows()
    rows.extend(packed(range(1, count + 1)), "")
    view.restart(rows, 1, count + 1)
    return view


def arrive(view: SharedView, *uids: int) -> None:
    view.add(packed(uids, view.modseq + 1), "")
    view.reach(view.modseq + 1, uids[-1] + 1)


def change(view: SharedView, *changes: tuple[int, int]) -> int:
    view.change_flags(view.modseq + 1, flags_step(*changes))
    view.reach(view.modseq + 1, view.uidnext)
    return view.modseq


def expunge(view: SharedView, *uids: int) -> None:
    view.expunge(view.modseq + 1, uids)
    view.reach(view.modseq + 1, view.uidnext)


def test_nothing_happened_nothing_is_told() -> None:
    assert Position(a_view()).news(allow_expunge=True) == News()


def test_arrivals_are_told_once() -> None:
    view = a_view(2)
    position = Position(view)

    arrive(view, 3, 4)

    assert position.news(allow_expunge=False) == News(exists=4, new_uids=(3, 5))
    assert position.news(allow_expunge=True) == News()


def test_changes_of_others_are_told_and_own_ones_are_not() -> None:
    view = a_view()
    position = Position(view)

    change(view, (2, SEEN), (4, SEEN))
    position.tells_itself(change(view, (5, SEEN)))
    change(view, (2, 0))

    assert position.news(allow_expunge=False) == News(changed=(1, 3))
    assert view.rows.flags.tolist() == [0, 0, 0, SEEN, SEEN]


def test_expunges_wait_until_the_client_does_not_count() -> None:
    view = a_view()
    position = Position(view)

    expunge(view, 2, 4)
    arrive(view, 6)

    assert position.news(allow_expunge=False) == News()
    assert position.count == 5
    assert [position.row(index) for index in range(5)] == [0, -1, 1, -1, 2]
    assert position.news(allow_expunge=True) == News(
        expunged=(4, 2), vanished=(4, 2), exists=4, new_uids=(6, 7), changed=()
    )
    assert list(position.uids) == [1, 3, 5, 6]


def test_an_expunge_alone_needs_no_exists() -> None:
    view = a_view()
    position = Position(view)

    expunge(view, 1, 5)

    assert position.news(allow_expunge=True) == News(expunged=(5, 1), vanished=(5, 1), changed=())


def test_changes_of_what_then_went_are_not_told() -> None:
    view = a_view()
    position = Position(view)

    change(view, (1, DELETED), (3, SEEN))
    expunge(view, 1)

    assert position.news(allow_expunge=True) == News(expunged=(1,), vanished=(1,), changed=(1,))


def test_a_session_that_waited_too_long_compares_for_itself() -> None:
    view = a_view()
    position = Position(view)
    expunge(view, 3)

    for _ in range(MAX_EVENTS + 1):
        change(view, (4, view.modseq & 1))
    arrive(view, 9)

    assert not view.knows_since(1)
    assert position.news(allow_expunge=True) == News(
        expunged=(3,), vanished=(3,), exists=5, new_uids=(6, 10), changed=(2,)
    )


def test_reading_everything_anew_hides_nothing() -> None:
    view = a_view()
    position = Position(view)
    rows = Rows()
    rows.extend(packed([1, 2], 1) + packed([4], 9, SEEN) + packed([8], 9), "4:7")

    view.restart(rows, 9, 9)

    assert position.news(allow_expunge=True) == News(
        expunged=(5, 3), vanished=(5, 3), exists=4, new_uids=(6, 9), changed=(2,)
    )
    assert keywords(view.rows) == {4: (7,)}


def test_sessions_of_one_view_keep_their_own_numbers() -> None:
    view = a_view()
    first, second = Position(view), Position(view)

    expunge(view, 1)
    first.news(allow_expunge=True)
    expunge(view, 2)

    assert first.news(allow_expunge=True).expunged == (1,)
    assert second.news(allow_expunge=True).expunged == (2, 1)
    assert list(first.uids) == list(second.uids) == [3, 4, 5]


def test_recent_messages_are_counted_among_those_that_are_there() -> None:
    view = a_view()
    position = Position(view)
    position.claim(4, 6)
    arrive(view, 6, 7)
    position.news(allow_expunge=True)
    position.claim(6, 8)
    expunge(view, 5)
    position.news(allow_expunge=True)

    assert position.recent == ((4, 8),)
    assert position.recent_count() == 3
    assert position.is_recent(7)
    assert not position.is_recent(3)


def test_an_older_step_never_overwrites_a_newer_one() -> None:
    rows = Rows()
    rows.extend(packed([1], modseq=5, flags=SEEN), "1:3")

    rows.change(flags_step((1, 0)), 4)
    assert (rows.flags[0], keywords(rows)) == (SEEN, {1: (3,)})

    rows.change(flags_step((1, DELETED), keywords="1:3,9"), 6)
    assert (rows.flags[0], rows.modseqs[0], keywords(rows)) == (DELETED, 6, {1: (3, 9)})

    rows.change(flags_step((1, 0)), 7)
    assert keywords(rows) == {}


def test_large_numbers_are_kept() -> None:
    rows = Rows()
    uid, modseq, content = 0xFFFF_FFFE, 2**40, 2**50

    rows.extend(struct.pack(">IIqqi", uid, 31, modseq, content, 2**31 - 1), "")

    assert (rows.uids[0], rows.flags[0], rows.sizes[0]) == (uid, 31, 2**31 - 1)
    assert (rows.modseqs[0], rows.contents[0]) == (modseq, content)


class Pair:
    """Two views of one mailbox, one kept and one dropped now and then; a session on each."""

    def __init__(self) -> None:
        self.views = a_view(8), a_view(8)
        self.steady, self.forgetful = map(Position, self.views)
        self.clients = list(self.steady.uids), list(self.forgetful.uids)
        self.gone: list[tuple[int, int]] = []

    def arrive(self, uids: set[int]) -> None:
        for view in self.views:
            arrive(view, *range(view.uidnext, view.uidnext + 1 + len(uids)))

    def expunge(self, uids: set[int]) -> None:
        here = sorted(uids & set(self.views[0].rows.uids))
        for view in self.views:
            expunge(view, *here)
        self.gone += [(self.views[0].modseq, uid) for uid in here]

    def flag(self, uids: set[int]) -> None:
        here = sorted(uids & set(self.views[0].rows.uids))  # what is gone changes no more
        for view in self.views:
            change(view, *[(uid, view.modseq % 32) for uid in here])

    def flag_ourselves(self, uids: set[int]) -> None:
        self.flag(uids)
        for position in (self.steady, self.forgetful):
            position.tells_itself(position.view.modseq)

    def drop(self, _uids: set[int]) -> None:
        position, view = self.forgetful, self.views[1]
        rows, modseq = view.rows, view.modseq
        position.forget()
        view.unload()
        view.restart(rows, modseq, view.uidnext)
        assert position.recall(sorted(uid for step, uid in self.gone if step > position.step))

    def open_ahead(self, _uids: set[int]) -> None:
        """Both clients select anew; one before its mailbox is read, at the step of its row."""
        if self.forgetful.is_here:
            self.steady, self.forgetful = map(Position, self.views)
            view = self.views[1]
            self.forgetful.stand_at(view.modseq, view.uidnext, len(view.rows))
            here = list(self.steady.uids)
            self.clients = here, list(here)

    def recall(self, _uids: set[int]) -> None:
        gone = sorted(uid for step, uid in self.gone if step > self.forgetful.step)
        assert self.forgetful.is_here or self.forgetful.recall(gone)

    def tell(self, uids: set[int]) -> None:
        self.recall(uids)
        one, other = (
            self.hear(position, client, may_expunge=bool(uids))
            for position, client in zip((self.steady, self.forgetful), self.clients, strict=True)
        )
        here = {index for index in one.changed if self.steady.row(index) >= 0}
        assert here <= set(other.changed)  # its own changes it may tell again
        if uids:  # before that, arrivals wait for expunges that only the steady one remembers
            assert self.clients[0] == self.clients[1]
            assert self.steady.recent_count() == self.forgetful.recent_count()

    def hear(self, position: Position, client: list[int], *, may_expunge: bool) -> News:
        """Keep ``client``, the UIDs behind its sequence numbers, as an IMAP client does."""
        news = position.news(allow_expunge=may_expunge)
        for number in news.expunged:
            del client[number - 1]
        if news.exists is not None:
            client.extend(position.uids[len(client) :])
            assert len(client) == news.exists
        return news


WHATS = st.sampled_from([
    Pair.arrive, Pair.expunge, Pair.flag, Pair.flag_ourselves, Pair.drop, Pair.open_ahead, Pair.tell,
])  # fmt: skip


@given(st.lists(st.tuples(WHATS, st.sets(st.integers(1, 12), max_size=4)), max_size=25))
def test_a_position_that_forgot_and_recalled_tells_the_same(
    things: list[tuple[Callable[[Pair, set[int]], None], set[int]]],
) -> None:
    pair = Pair()
    for happens, uids in [*things, (Pair.tell, {1})]:
        happens(pair, uids)

        assert pair.forgetful.count == len(pair.clients[1])
        if pair.forgetful.is_here:
            assert pair.clients == (list(pair.steady.uids), list(pair.forgetful.uids))


def test_a_position_refuses_messages_that_it_was_not_told_of() -> None:
    view = a_view()
    position = Position(view)
    expunge(view, 2)

    position.forget()

    assert not position.recall([])
    assert position.recall([2])


def test_who_reads_one_by_one_is_followed() -> None:
    position = Position(a_view(100))

    assert list(position.follow(1)) == list(range(2, 34))
    assert list(position.follow(2))[:2] == [3, 4]
    assert list(position.follow(52)) == []  # a jump tells nothing
    assert list(position.follow(62)) == []
    assert list(position.follow(72)) == [82, 92]  # as far again: a habit
    assert list(position.follow(71))[-1] == 39
    assert list(position.follow(70))[:2] == [69, 68]
    assert list(Position(a_view(3)).follow(0)) == []
    assert list(position.follow(70)) == []


def test_contents_and_steps_may_be_large() -> None:
    rows = Rows()
    rows.extend(struct.pack(">IIqqi", 1, 0, 1 << 40, (1 << 50) + 7, 10), "")

    assert (rows.modseqs[0], rows.contents[0]) == (1 << 40, (1 << 50) + 7)


@given(st.sets(st.integers(0, 30)), st.dictionaries(st.integers(0, 30), st.integers(1, 3)))
def test_rows_without_some_are_those_of_the_others(gone: set[int], words: dict[int, int]) -> None:
    rows = Rows()
    named = ";".join(f"{at + 1}:{word}" for at, word in sorted(words.items()))
    rows.extend(packed(range(1, 32)), named)

    left = rows.without(sorted(gone))

    expected = [at for at in range(31) if at not in gone]
    assert list(left.uids) == [at + 1 for at in expected]
    assert list(left.contents) == [1001 + at for at in expected]
    assert keywords(left) == {at + 1: (words[at],) for at in expected if at in words}
    assert keywords(rows) == {at + 1: (word,) for at, word in words.items()}


def test_keywords_of_all_messages_take_no_more_than_their_numbers() -> None:
    rows = Rows()
    rows.extend(packed(range(1, 100_001)), "")
    without = rows.octets

    rows.change(
        flags_step(
            *((uid, 0) for uid in range(1, 100_001)),
            keywords=";".join(f"{uid}:1,2" for uid in range(1, 100_001)),
        ),
        2,
    )

    assert keywords(rows)[100_000] == (1, 2)
    assert rows.keywords.used() == {1, 2}
    assert rows.octets - without < 5 * 100_000


def test_new_messages_have_no_keywords_where_others_have() -> None:
    view = a_view(2)
    view.change_flags(2, flags_step((1, 0), keywords="1:3"))
    view.reach(2, 3)

    arrive(view, 3, 4)

    assert keywords(view.rows) == {1: (3,)}
    assert view.rows.keywords[3] == ()
