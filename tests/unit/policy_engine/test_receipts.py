"""What senders are told where one recipient becomes others (RFC 3461 §5.2.7)."""

from __future__ import annotations

from datetime import date

import pytest

from policy_engine.decisions import MAX_DEPTH, Plan, Rules, plan
from policy_engine.receipts import receipt_of
from policy_engine.srs import Rewriter
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import DEFAULT, Notify
from posthouse.mail.report import Action
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.directory import Found
from posthouse.storage.ledger import Branch, Kept
from support.directory import PaperDirectory

ALL = Notify(on="SUCCESS,FAILURE", orcpt="rfc822;Team@Example.test")
LESS = Notify(on="FAILURE", orcpt="rfc822;Team@Example.test")
RULES = Rules(
    rewriter=Rewriter(b"0" * 16), returns=ReturnPaths(b"1" * 16), today=date(2026, 11, 22)
)
STRANGER = "carl@far.test"


@pytest.fixture
def paper() -> PaperDirectory:
    made = PaperDirectory("example.test")
    made.account("anna@example.test")
    made.account("bert@example.test")
    return made


def decided(paper: PaperDirectory, *recipients: InboundRecipient) -> Plan:
    known: dict[str, Found] = {}
    for _ in range(MAX_DEPTH + 3):
        made = plan(recipients, STRANGER, known, RULES)
        if not made.missing:
            return made
        known |= paper.known(sorted(made.missing))
    raise AssertionError("the directory does not come to an end")


def told(made: Plan, *recipients: InboundRecipient) -> list[Action | None]:
    named = {to.address for to in recipients}
    pairs = zip(recipients, made.decisions, strict=True)
    return [receipt_of(to, decision, named) for to, decision in pairs]


def wishes(made: Plan, at: int = 0) -> dict[str, Notify]:
    decision = made.decisions[at]
    branches: tuple[Branch, ...] = (
        (decision.to,) if isinstance(decision, Kept) else decision.children
    )
    return {branch.address: branch.notify for branch in branches}


TEAM = InboundRecipient(n=0, address="team@example.test", notify=ALL)


def test_a_single_other_address_takes_over_all(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test")

    made = decided(paper, TEAM)

    assert wishes(made) == {"anna@example.test": ALL}
    assert told(made, TEAM) == [None]


def test_several_take_over_all_but_success(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test", "doris@far.test")

    made = decided(paper, TEAM)

    assert wishes(made) == {"anna@example.test": LESS, "doris@far.test": LESS}
    assert told(made, TEAM) == ["expanded"]


def test_a_group_with_an_owner_keeps_it_all_to_itself(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test", "d@far.test", owner="o@example.test")

    made = decided(paper, TEAM)

    assert wishes(made) == {"anna@example.test": DEFAULT, "d@far.test": DEFAULT}
    assert told(made, TEAM) == ["delivered"]


def test_a_group_within_an_alias_gets_nothing_and_the_others_theirs(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test", "list@example.test")
    paper.alias("list@example.test", "d@far.test", owner="o@example.test")

    made = decided(paper, TEAM)

    assert wishes(made) == {"anna@example.test": LESS, "d@far.test": DEFAULT}
    assert told(made, TEAM) == ["expanded"]


def test_a_forward_to_elsewhere_hands_on_what_was_asked(paper: PaperDirectory) -> None:
    paper.forward("anna@example.test", "doris@far.test", keep_copy=False)
    anna = InboundRecipient(n=0, address="anna@example.test", notify=ALL)

    made = decided(paper, anna)

    assert wishes(made) == {"doris@far.test": ALL}
    assert told(made, anna) == [None]


@pytest.mark.parametrize("first", [True, False])
def test_who_is_named_besides_is_asked_for_by_its_own_wish(
    paper: PaperDirectory, *, first: bool
) -> None:
    """The one message anna gets tells nothing of the alias, so this is told by us."""
    paper.alias("team@example.test", "anna@example.test")
    anna = InboundRecipient(n=1, address="anna@example.test")
    both = (anna, TEAM) if first else (TEAM, anna)

    made = decided(paper, *both)

    assert told(made, *both) == ([None, "expanded"] if first else ["expanded", None])


def test_who_asked_for_nothing_costs_and_hears_nothing(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test", "bert@example.test")
    team = InboundRecipient(n=0, address="team@example.test")

    made = decided(paper, team)

    assert all(notify is DEFAULT for notify in wishes(made).values())
    assert told(made, team) == [None]
