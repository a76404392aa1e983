"""What is told of changed results leads a client from the old list to the new one (RFC 5267 §4.3)."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from imap_gateway.protocol.finding_answers import change_data

_SETS = re.compile(rb"(\d+) ([\d:,]+)")


def applied(data: bytes, results: list[int]) -> list[int]:
    """Do what a client does."""
    for word, inside in re.findall(rb" (REMOVEFROM|ADDTO) \(([^)]*)\)", data):
        for place, numbers in _SETS.findall(inside):
            spans = [list(map(int, span.split(b":"))) for span in numbers.split(b",")]
            named = [n for span in spans for n in range(span[0], span[-1] + 1)]
            at = int(place) - 1
            if word == b"ADDTO" and at >= 0:
                results[at:at] = named
            elif word == b"ADDTO":
                results = sorted([*results, *named])
            elif at >= 0:
                assert results[at : at + len(named)] == named
                del results[at : at + len(named)]
            else:
                results = [n for n in results if n not in named]
    return results


@given(st.permutations(range(1, 13)), st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_sorted_results(order: list[int], before: set[int], after: set[int]) -> None:
    old, new = [n for n in order if n in before], [n for n in order if n in after]

    assert applied(change_data(old, new, int, is_sorted=True), list(old)) == new


@given(st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)))
def test_results_in_mailbox_order(before: set[int], after: set[int]) -> None:
    old, new = sorted(before), sorted(after)

    assert applied(change_data(old, new, int, is_sorted=False), list(old)) == new
    assert change_data(old, old, int, is_sorted=False) == b""
