"""Acknowledgements: everything settled is acknowledged once, nothing else ever."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.bus.tags import Acknowledgement, Tags


def test_a_batch_in_order_takes_one_frame() -> None:
    tags = Tags()

    assert tags.settle(range(1, 51)) == [Acknowledgement(50, multiple=True)]
    assert tags.settle(range(51, 101)) == [Acknowledgement(100, multiple=True)]


def test_a_lone_tag_is_not_multiple() -> None:
    assert Tags().settle([1]) == [Acknowledgement(1, multiple=False)]


def test_a_batch_behind_a_running_one_is_acknowledged_tag_by_tag() -> None:
    tags = Tags()

    assert tags.settle([3, 4]) == [
        Acknowledgement(3, multiple=False),
        Acknowledgement(4, multiple=False),
    ]
    assert tags.settle([1, 2]) == [Acknowledgement(2, multiple=True)]
    assert tags.settle([5, 6]) == [Acknowledgement(6, multiple=True)]


@given(st.permutations(list(range(1, 25))), st.data())
def test_in_any_order_each_settled_tag_is_acknowledged_exactly_once(
    order: list[int], data: st.DataObject
) -> None:
    tags, outstanding, settled = Tags(), set(range(1, 25)), set[int]()

    while order:
        size = data.draw(st.integers(1, len(order)))
        group, order = order[:size], order[size:]
        settled |= set(group)
        for frame in tags.settle(group):
            assert frame.tag in outstanding  # else the broker closes the channel
            covered = {t for t in outstanding if t <= frame.tag} if frame.multiple else {frame.tag}
            assert covered <= settled
            outstanding -= covered
        assert outstanding.isdisjoint(settled)
