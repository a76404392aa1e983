"""Where recipients go: aliases, groups, forwards, plus addressing, catch-alls, circles."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.dead_ends import CLOSED, LOOP, NOBODY
from policy_engine.decisions import MAX_DEPTH, Plan, Rules, plan
from policy_engine.srs import Rewriter
from posthouse.mail.address import parse_address
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.ids import day_of
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.directory import Found
from posthouse.storage.ledger import Branch, Expanded, Kept
from support.directory import PaperDirectory

TODAY = date(2026, 11, 22)
RETURNS = ReturnPaths(b"fedcba9876543210")
RULES = Rules(rewriter=Rewriter(b"0123456789abcdef"), returns=RETURNS, today=TODAY)
STRANGER = "eve@far.test"


@pytest.fixture
def paper() -> PaperDirectory:
    made = PaperDirectory("example.test", "other.test")
    made.account("anna@example.test")
    made.account("bert@example.test")
    return made


def decided(
    paper: PaperDirectory,
    *recipients: str,
    sender: str = STRANGER,
    rules: Rules = RULES,
    poster: str = "",
) -> Plan:
    """Plan, asking the directory until nothing is missing."""
    numbered = [InboundRecipient(n=n, address=to) for n, to in enumerate(recipients)]
    known: dict[str, Found] = {}
    for _ in range(MAX_DEPTH + 3):
        made = plan(numbered, sender, known, rules, poster)
        if not made.missing:
            return made
        known |= paper.known(sorted(made.missing))
    raise AssertionError("the directory does not come to an end")


def local(address: str, account: int | None, folder: str = "", sender: str | None = None) -> Branch:
    return Branch(
        road="local",
        address=address,
        account=account,
        folder=folder,
        sender=sender,
        redistributed=sender is not None,
    )


def remote(address: str, sender: str | None = None) -> Branch:
    domain = address.rpartition("@")[2]
    redistributed = sender is not None
    return Branch(
        road="remote", address=address, domain=domain, sender=sender, redistributed=redistributed
    )


def branches(made: Plan) -> list[Branch]:
    found: list[Branch] = []
    for decision in made.decisions:
        found.extend([decision.to] if isinstance(decision, Kept) else decision.children)
    return found


def test_an_account_is_kept_whatever_the_case(paper: PaperDirectory) -> None:
    made = decided(paper, "Anna@EXAMPLE.test")

    assert made.decisions == (Kept(0, local("anna@example.test", 1)),)


def test_an_address_of_another_house_goes_out_with_its_own_sender(paper: PaperDirectory) -> None:
    made = decided(paper, "Carl@Far.test", sender="anna@example.test")

    assert made.decisions == (Kept(0, remote("Carl@far.test")),)


def test_plus_addressing_names_a_folder(paper: PaperDirectory) -> None:
    made = decided(paper, "anna+Lists@example.test")

    assert branches(made) == [local("anna+lists@example.test", 1, folder="Lists")]


def test_an_exact_address_wins_over_a_detail(paper: PaperDirectory) -> None:
    number = paper.account("anna+work@example.test")

    assert branches(decided(paper, "anna+work@example.test")) == [
        local("anna+work@example.test", number)
    ]


def test_an_alias_is_replaced_by_its_targets_each_once(paper: PaperDirectory) -> None:
    paper.alias("all@example.test", "anna@example.test", "team@example.test")
    paper.alias("team@example.test", "bert@example.test", "Anna@example.test")

    made = decided(paper, "all@example.test")

    assert made.decisions == (
        Expanded(0, (local("anna@example.test", 1), local("bert@example.test", 2))),
    )


def test_who_is_named_twice_gets_one_message(paper: PaperDirectory) -> None:
    paper.alias("all@example.test", "anna@example.test", "bert@example.test")

    made = decided(paper, "anna@example.test", "ANNA@example.test", "all@example.test")

    assert branches(made) == [local("anna@example.test", 1), local("bert@example.test", 2)]
    assert made.decisions[1] == Expanded(1, ())


def test_a_groups_owner_becomes_the_sender_and_the_inner_one_wins(paper: PaperDirectory) -> None:
    paper.alias("outer@example.test", "inner@example.test", "anna@example.test", owner="o@x.test")
    paper.alias("inner@example.test", "carl@far.test", owner="i@x.test")

    assert branches(decided(paper, "outer@example.test")) == [
        remote("carl@far.test", sender="i@x.test"),
        local("anna@example.test", 1, sender="o@x.test"),
    ]


def test_a_bounce_keeps_the_null_sender_through_groups_and_forwards(paper: PaperDirectory) -> None:
    paper.alias("group@example.test", "anna@example.test", "bert@example.test", owner="o@x.test")
    paper.forward("bert@example.test", "carl@far.test", keep_copy=False)

    made = decided(paper, "group@example.test", sender="")

    assert [branch.sender for branch in branches(made)] == [None, None]


@pytest.mark.parametrize("keep_copy", [True, False])
def test_a_forward_keeps_a_copy_or_not_and_rewrites_the_sender(
    paper: PaperDirectory, *, keep_copy: bool
) -> None:
    paper.forward("anna@example.test", "carl@far.test", keep_copy=keep_copy)

    found = branches(decided(paper, "anna@example.test"))

    assert [b.address for b in found if b.road == "local"] == ["anna@example.test"] * keep_copy
    sender = found[-1].sender
    assert sender is not None
    assert sender.startswith("SRS0=")
    assert sender.endswith("@example.test")
    assert RULES.rewriter.reverse(parse_address(sender), TODAY) == STRANGER


def test_a_sender_of_ours_is_not_rewritten(paper: PaperDirectory) -> None:
    paper.forward("anna@example.test", "carl@far.test", keep_copy=False)

    made = decided(paper, "anna@example.test", sender="bert@other.test")

    assert branches(made) == [remote("carl@far.test")]


def test_a_sender_too_long_to_rewrite_becomes_the_forwarding_address(paper: PaperDirectory) -> None:
    paper.forward("anna@example.test", "carl@far.test", keep_copy=False)

    made = decided(paper, "anna@example.test", sender=f"{'x' * 60}@far.test")

    assert branches(made) == [remote("carl@far.test", sender="anna@example.test")]


def test_a_bounce_of_a_forward_finds_its_way_back(paper: PaperDirectory) -> None:
    rewritten = RULES.rewriter.forward(parse_address(STRANGER), "example.test", TODAY)
    assert rewritten is not None

    assert branches(decided(paper, rewritten, sender="")) == [remote(STRANGER)]
    assert decided(paper, rewritten, sender=STRANGER).dead == {rewritten.lower(): NOBODY}


def test_the_catch_all_takes_what_nobody_else_does(paper: PaperDirectory) -> None:
    paper.catch_all("other.test", "anna@example.test")

    assert decided(paper, "sales@other.test").decisions == (
        Expanded(0, (local("anna@example.test", 1),)),
    )


def test_aliases_in_a_circle_are_dead(paper: PaperDirectory) -> None:
    paper.alias("a@example.test", "b@example.test")
    paper.alias("b@example.test", "a@example.test")

    made = decided(paper, "a@example.test")

    assert made.dead == {"a@example.test": LOOP}
    assert branches(made) == [local("a@example.test", None)]


def test_an_alias_that_names_itself_reaches_its_own_mailbox(paper: PaperDirectory) -> None:
    paper.alias("anna@example.test", "anna@example.test", "bert@example.test")

    assert branches(decided(paper, "anna@example.test")) == [
        local("anna@example.test", 1),
        local("bert@example.test", 2),
    ]


def test_forwards_in_a_circle_end_in_a_mailbox(paper: PaperDirectory) -> None:
    paper.forward("anna@example.test", "bert@example.test", keep_copy=False)
    paper.forward("bert@example.test", "anna@example.test", keep_copy=False)

    assert branches(decided(paper, "anna@example.test")) == [local("anna@example.test", 1)]


def test_a_chain_too_deep_is_dead(paper: PaperDirectory) -> None:
    for n in range(MAX_DEPTH + 2):
        paper.alias(f"a{n}@example.test", f"a{n + 1}@example.test")

    assert set(decided(paper, "a0@example.test").dead.values()) == {LOOP}


def test_a_catch_all_that_nobody_has_is_dead(paper: PaperDirectory) -> None:
    paper.catch_all("other.test", "gone@other.test")

    assert decided(paper, "x@other.test").dead == {"gone@other.test": LOOP}


def test_who_was_deleted_meanwhile_is_dead_and_the_others_are_not(paper: PaperDirectory) -> None:
    paper.alias("all@example.test", "anna@example.test", "gone@example.test", "not an address")

    made = decided(paper, "all@example.test")

    assert branches(made) == [
        local("anna@example.test", 1),
        local("gone@example.test", None),
        local("not an address", None),
    ]
    assert made.dead["gone@example.test"] == NOBODY


def test_an_internationalized_domain_is_found_by_either_name() -> None:
    paper = PaperDirectory("xn--bcher-kva.test")
    paper.account("anna@xn--bcher-kva.test")

    assert branches(decided(paper, "anna@Bücher.test")) == [local("anna@xn--bcher-kva.test", 1)]
    assert branches(decided(paper, "carl@café.test"))[0].domain == "xn--caf-dma.test"


def test_postmaster_of_every_domain_and_of_our_name_has_a_mailbox(paper: PaperDirectory) -> None:
    rules = replace(RULES, hostname="MX.example.test", postmaster="anna@example.test")

    for address in ("Postmaster@other.test", "postmaster@mx.example.test"):
        assert branches(decided(paper, address, rules=rules)) == [local("anna@example.test", 1)]
    own = paper.account("postmaster@other.test")
    assert branches(decided(paper, "postmaster@other.test", rules=rules)) == [
        local("postmaster@other.test", own)
    ]
    assert branches(decided(paper, "postmaster@mx.example.test"))[0].road == "remote"


def test_a_postmaster_that_nobody_has_is_dead(paper: PaperDirectory) -> None:
    rules = replace(RULES, postmaster="postmaster@example.test")

    assert list(decided(paper, "postmaster@other.test", rules=rules).dead.values()) == [NOBODY]


ADDRESSES = [f"{local}@{domain}" for local in "abcd" for domain in ("example.test", "far.test")]


@given(
    aliases=st.dictionaries(
        st.sampled_from(ADDRESSES), st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=4)
    ),
    forwards=st.dictionaries(
        st.sampled_from(ADDRESSES[:4:2]), st.lists(st.sampled_from(ADDRESSES), min_size=1)
    ),
    catch_all=st.none() | st.sampled_from(ADDRESSES),
    keep_copy=st.booleans(),
)
def test_any_directory_comes_to_an_end_and_nobody_is_forgotten(
    aliases: dict[str, list[str]],
    forwards: dict[str, list[str]],
    catch_all: str | None,
    *,
    keep_copy: bool,
) -> None:
    paper = PaperDirectory("example.test")
    paper.account("a@example.test")
    paper.account("b@example.test")
    if catch_all:
        paper.catch_all("example.test", catch_all)
    for address, targets in aliases.items():
        if address.endswith("example.test"):
            paper.alias(address, *targets)
    for address, targets in forwards.items():
        if address in paper.accounts:
            paper.forward(address, *targets, keep_copy=keep_copy)

    for address in ADDRESSES:
        made = decided(paper, address)
        found = branches(made)
        assert found
        assert len({branch.address.lower() for branch in found}) == len(found)
        assert all(b.account is not None or b.address.lower() in made.dead
                   for b in found if b.road == "local")  # fmt: skip


def test_a_disabled_account_gets_nothing_by_whatever_way(paper: PaperDirectory) -> None:
    paper.account("off@example.test", enabled=False)
    paper.forward("off@example.test", "x@far.test", keep_copy=True)
    paper.alias("team@example.test", "off@example.test", "anna@example.test")

    made = decided(paper, "team@example.test", "off+x@example.test")

    accounts = {branch.address: branch.account for branch in branches(made)}
    assert accounts.pop("anna@example.test") == 1
    assert accounts == {"off@example.test": None, "off+x@example.test": None}
    assert made.dead == {"off@example.test": CLOSED, "off+x@example.test": CLOSED}


def test_a_return_path_leads_to_whose_it_is(paper: PaperDirectory) -> None:
    anna = parse_address("anna@example.test")
    message = UUID("019aaa00-0000-7000-8000-000000000002")
    paths = [
        RETURNS.signed(anna, message),
        ReturnPaths(RETURNS.secret, "-=").verp(anna, message, 0, "x@far.test"),
    ]

    for path in paths:
        assert path is not None
        today = replace(RULES, today=day_of(message))
        (decision,) = decided(paper, path, sender="", rules=today).decisions

        branch = local("anna@example.test", paper.accounts["anna@example.test"].id)
        assert decision == Expanded(0, (branch,))


def test_who_may_not_post_was_accepted_while_nobody_was_asked_and_is_told(
    paper: PaperDirectory,
) -> None:
    paper.alias("all@example.test", "x@far.test", posters=("boss@example.test",))
    paper.alias("open@example.test", "all@example.test")

    refused = decided(paper, "all@example.test", poster="anna@example.test")
    allowed = decided(paper, "all@example.test", poster="boss@example.test")
    nested = decided(paper, "open@example.test", poster="anna@example.test")

    assert str(refused.dead["all@example.test"].status) == "550 5.7.2"
    assert not allowed.dead
    assert not nested.dead, "the address that was written to is open"
