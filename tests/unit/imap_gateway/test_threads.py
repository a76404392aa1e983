"""Threads: what RFC 5256 says of each case, and how long the worst ones take."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from imap_gateway.view.threads import Threader, written
from posthouse.mime.ordering import Member

ROUGH = random.Random(5256)  # noqa: S311 - no secret


def message(
    number: int,
    ident: int = -1,
    *refs: int,
    subject: int = 0,
    sent: int = 0,
    is_reply: bool = False,
) -> Member:
    return Member(number, sent or number, ident, subject, is_reply, refs)


def by_references(*members: Member) -> str:
    threader = Threader()
    threader.add(members)
    return written(threader.by_references(), threader.uids).decode()


def by_subject(*members: Member) -> str:
    threader = Threader()
    threader.add(members)
    return written(threader.by_subject(), threader.uids).decode()


@pytest.mark.parametrize(
    ("members", "threads"),
    [
        ([], ""),
        ([message(1), message(2)], "(1)(2)"),
        ([message(1, 10), message(2, 20, 10), message(3, 30, 10, 20)], "(1 2 3)"),
        ([message(2), message(3, 3), message(6, 6, 3), message(4, 4, 6), message(44, 44, 6),
          message(23, 23, 4), message(7, 7, 44), message(96, 96, 7)],
         "(2)(3 6 (4 23)(44 7 96))"),
        ([message(3, 3, 99), message(5, 5, 99)], "((3)(5))"),  # their parent is not here
        ([message(3, 3, 99)], "(3)"),
        ([message(3, 3, 98, 99), message(5, 5, 98)], "((3)(5))"),  # a dummy below a dummy
        ([message(1, 1, 2), message(2, 2, 1)], "(2 1)"),  # a loop
        ([message(1, 1, 1)], "(1)"),
        ([message(1, 7), message(2, 7), message(3, 3, 7)], "(1 3)(2)"),  # one id twice
        ([message(1, 1), message(2, 2, 1, sent=9), message(3, 3, 1, sent=8)], "(1 (3)(2))"),
        ([message(1, 1, 9), message(2, 2), message(3, 3, 2, 1)], "(1 3)(2)"),  # the last one counts
    ],
)  # fmt: skip
def test_references(members: Sequence[Member], threads: str) -> None:
    assert by_references(*members) == threads


@pytest.mark.parametrize(
    ("members", "threads"),
    [
        ([message(1, subject=5), message(2, subject=5, is_reply=True)], "(1 2)"),
        ([message(1, subject=5, is_reply=True), message(2, subject=5)], "(2 1)"),
        ([message(1, subject=5), message(2, subject=5)], "((1)(2))"),
        ([message(1, subject=5, is_reply=True), message(2, subject=5, is_reply=True)],
         "((1)(2))"),
        ([message(1), message(2)], "(1)(2)"),
        ([message(1, 1, 99, subject=5), message(2, 2, 99), message(3, subject=5)],
         "((1)(2)(3))"),
        ([message(1, 1, 99, subject=5), message(2, 2, 99), message(3, 3, 98, subject=5),
          message(4, 4, 98)], "((1)(2)(3)(4))"),
        ([message(n, subject=5) for n in (1, 2, 3)], "((1)(2)(3))"),
    ],
)  # fmt: skip
def test_threads_of_one_subject_are_joined(members: Sequence[Member], threads: str) -> None:
    assert by_references(*members) == threads


def test_ordered_subject() -> None:
    members = [
        message(1, subject=5, sent=9),
        message(2, subject=6, sent=1),
        message(3, subject=5, sent=2),
        message(4, subject=5, sent=5),
        message(5, subject=7, sent=2),
    ]

    assert by_subject(*members) == "(2)(3 (4)(1))(5)"
    assert by_subject(message(194, subject=1), message(195, subject=1)) == "(194 195)"


MANY = 30_000
ANY_ORDER = ROUGH.sample(range(MANY), MANY)
SHAPES: dict[str, Callable[[int], Member]] = {
    "chain": lambda n: message(n + 1, n, *range(max(n - 10, 0), n)),
    "backwards": lambda n: message(n + 1, MANY - n, MANY - n - 1),
    "shuffled": lambda n: message(n + 1, ANY_ORDER[n], ANY_ORDER[n] + 1),
    "star": lambda n: message(n + 1, n, 0),
    "dummies": lambda n: message(n + 1, n, MANY + n),
    "ladder": lambda n: message(n + 1, -1, n, n + 1),
    "loops": lambda n: message(n + 1, n, *((n - 1,) if 0 < n < 9000 else (8999, 0) * 10)),
    "one subject": lambda n: message(n + 1, subject=7, is_reply=n % 2 == 0),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_message_is_in_one_thread_and_none_costs_much(shape: str) -> None:
    members = [SHAPES[shape](n) for n in range(MANY)]
    begin = time.process_time()
    threads = by_references(*members)

    numbers = threads.replace("(", " ").replace(")", " ").split()
    assert sorted(map(int, numbers)) == [member.uid for member in members]
    assert time.process_time() - begin < 5
