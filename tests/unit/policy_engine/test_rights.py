"""Whose addresses an account may send as, by mode, and when its own name must be told."""

from __future__ import annotations

from datetime import date

import pytest

from policy_engine.admission import Grounds, judge, wanted
from policy_engine.rights import Grants, Ownership, Right, right_to, rights_keys
from policy_engine.srs import Rewriter
from posthouse.mail.admission import AuthorQuestion, ListQuestion, MailQuestion, Verdict
from support.directory import PaperDirectory

ANNA = "anna@example.test"
LENT: Grants = {
    "boss@example.test": True,
    "desk@example.test": False,
    "*@lent.test": False,
    "*@behalf.test": True,
    "one@behalf.test": False,
    "ceo@partner.test": False,
}


@pytest.fixture
def paper() -> PaperDirectory:
    made = PaperDirectory("example.test", "lent.test", "behalf.test")
    for name in ("anna", "bert", "boss", "desk"):
        made.account(f"{name}@example.test")
    made.account("off@example.test", enabled=False)
    made.alias("team@example.test", "Anna@example.test", "x@far.test")
    made.alias("others@example.test", "bert@example.test")
    return made


def verdict(
    paper: PaperDirectory,
    question: MailQuestion | AuthorQuestion | ListQuestion,
    ownership: Ownership = "strict",
) -> Verdict:
    grounds = Grounds(
        known=paper.known(wanted(question)), networks=(), rewriter=Rewriter(b"0123456789abcdef"),
        today=date(2026, 11, 22), ownership=ownership, grants=LENT,
    )  # fmt: skip
    return judge(question, grounds)


def authors(*addresses: str, sender: str = "") -> AuthorQuestion:
    return AuthorQuestion(authors=addresses, sender=sender, auth=ANNA)


RIGHTS = [
    ("anna@example.test", Right.OWN),
    ("Anna+x@EXAMPLE.test", Right.OWN),
    ("team@example.test", Right.OWN),
    ("desk@example.test", Right.OWN),
    ("Desk+x@example.test", Right.OWN),
    ("boss@example.test", Right.ON_BEHALF),
    ("anybody@lent.test", Right.OWN),
    ("anybody@behalf.test", Right.ON_BEHALF),
    ("one@behalf.test", Right.OWN),
    ("ceo@partner.test", Right.OWN),
    ("cfo@partner.test", Right.FOREIGN),
    ("x@far.test", Right.FOREIGN),
    ("x@sub.lent.test", Right.FOREIGN),
    ("anna@\uff45xample.test", Right.FOREIGN),
    ("bert@example.test", Right.NONE),
    ("others@example.test", Right.NONE),
    ("nobody@example.test", Right.NONE),
    ("anna", Right.NONE),
    ("anna@example.test@far.test", Right.NONE),
]


@pytest.mark.parametrize(("claimed", "right"), RIGHTS)
def test_what_an_address_is_to_an_account(
    paper: PaperDirectory, claimed: str, right: Right
) -> None:
    known = paper.known(rights_keys(claimed, ANNA))

    assert right_to(claimed, ANNA, known, LENT) is right


@pytest.mark.parametrize(("claimed", "right"), RIGHTS)
@pytest.mark.parametrize(
    ("ownership", "allowed"),
    [
        ("strict", {Right.OWN, Right.ON_BEHALF}),
        ("relaxed", {Right.OWN, Right.ON_BEHALF, Right.FOREIGN}),
        ("off", set(Right)),
    ],
)
def test_the_mode_decides_for_envelope_and_header_alike(
    paper: PaperDirectory, claimed: str, right: Right, ownership: Ownership, allowed: set[Right]
) -> None:
    header = verdict(paper, authors(claimed), ownership)
    assert header.accepts is (right in allowed)
    if "@" in claimed and claimed.count("@") == 1:
        envelope = verdict(paper, MailQuestion(sender=claimed, auth=ANNA), ownership)
        assert envelope.accepts is (right in allowed)
    if header.accepts:
        assert header.must_tell is (right is not Right.OWN)


def test_each_of_several_authors_counts_and_they_need_a_sender(paper: PaperDirectory) -> None:
    assert verdict(paper, authors(ANNA, "team@example.test")).must_tell
    assert not verdict(paper, authors(ANNA, "bert@example.test")).accepts
    assert not verdict(paper, authors(ANNA, "x@far.test")).accepts
    assert not verdict(paper, authors(ANNA, "team@example.test", sender=ANNA)).must_tell


def test_a_sender_that_is_another_is_replaced(paper: PaperDirectory) -> None:
    assert verdict(paper, authors(ANNA, sender="bert@example.test")).must_tell
    assert verdict(paper, authors(ANNA, sender="boss@example.test")).must_tell
    assert not verdict(paper, authors("boss@example.test", sender=ANNA)).must_tell


def test_nobody_as_author_is_no_author_of_ones_own(paper: PaperDirectory) -> None:
    assert str(verdict(paper, authors()).status) == "550 5.7.1"
    assert verdict(paper, authors(), "relaxed").must_tell


def test_a_disabled_account_writes_nothing(paper: PaperDirectory) -> None:
    question = AuthorQuestion(authors=(ANNA,), sender="", auth="off@example.test")

    assert str(verdict(paper, question, "off").status) == "550 5.2.1"


@pytest.mark.parametrize(
    ("address", "expand", "answer", "members"),
    [
        ("anna@example.test", False, "250 2.1.5", ("anna@example.test",)),
        ("anna@example.test", True, "250 2.1.5", ("anna@example.test",)),
        ("team@example.test", False, "250 2.1.5", ("team@example.test",)),
        ("team@example.test", True, "250 2.1.5", ("Anna@example.test", "x@far.test")),
        ("nobody@example.test", True, "550 5.1.1", ()),
        ("off@example.test", False, "550 5.2.1", ()),
        ("x@far.test", False, "551 5.7.1", ()),
        ("not an address", False, "550 5.1.3", ()),
    ],
)
def test_whom_an_address_stands_for(
    paper: PaperDirectory, address: str, *, expand: bool, answer: str, members: tuple[str, ...]
) -> None:
    found = verdict(paper, ListQuestion(address=address, expand=expand))

    assert (str(found.status), found.members) == (answer, members)
