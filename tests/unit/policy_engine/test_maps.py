"""Maps: which entry counts, what becomes of an address, and that nobody goes in circles."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.content.case import Case
from policy_engine.dead_ends import NOBODY
from policy_engine.decisions import MAX_ROUNDS, Plan, Rules, plan
from policy_engine.maps.headers import HeaderMaps, headed
from policy_engine.maps.looking import Maps, maps_of
from policy_engine.maps.rewriting import RECIPIENT, SENDER, rewritten
from policy_engine.srs import Rewriter
from posthouse.mail.address import parse_address
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.maps import KINDS, BadEntry, entry_of, key_of
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.directory import Found
from posthouse.storage.ledger import branches_of
from support.directory import PaperDirectory

RULES = Rules(
    rewriter=Rewriter(b"0123456789abcdef"),
    returns=ReturnPaths(b"fedcba9876543210"),
    today=date(2026, 11, 22),
)


@pytest.fixture
def paper() -> PaperDirectory:
    return house()


def house() -> PaperDirectory:
    made = PaperDirectory("example.test", "other.test")
    made.account("anna@example.test")
    made.account("bert@example.test")
    return made


def decided(paper: PaperDirectory, *recipients: str, sender: str = "eve@far.test") -> Plan:
    rules = replace(RULES, maps=maps_of(paper.shape()))
    numbered = [InboundRecipient(n=n, address=to) for n, to in enumerate(recipients)]
    known: dict[str, Found] = {}
    for _ in range(MAX_ROUNDS):
        made = plan(numbered, sender, known, rules)
        if not made.missing:
            return made
        known |= paper.known(sorted(made.missing))
    raise AssertionError("the directory does not come to an end")


def went(paper: PaperDirectory, recipient: str, sender: str = "eve@far.test") -> list[str]:
    """Return where ``recipient`` leads, the dead with a mark."""
    made = decided(paper, recipient, sender=sender)
    return [
        f"{'†' if b.road == 'local' and not b.account else ''}{b.address}"
        for decision in made.decisions
        for b in branches_of(decision)
    ]


def sent_as(paper: PaperDirectory, sender: str, recipient: str = "x@near.test") -> str:
    made = decided(paper, recipient, sender=sender)
    return branches_of(made.decisions[0])[0].sender or sender


def became(paper: PaperDirectory, address: str, kinds: tuple[str, ...] = RECIPIENT) -> str:
    maps, known = maps_of(paper.shape()), dict[str, Found]()
    while True:
        after = rewritten(parse_address(address), kinds, maps, known)  # type: ignore[arg-type]
        if not after.missing:
            return str(after.address)
        known |= paper.known(after.missing)


def test_what_fits_best_counts(paper: PaperDirectory) -> None:
    order = [
        "a-b+c@example.test", "a-b@example.test", "a-b+c@", "a-b@", "/^a-b/", "@example.test",
        "@.test", "*",
    ]  # fmt: skip
    for n, key in reversed(list(enumerate(order))):
        paper.entry("canonical", key, f"hit{n}+@near.test")
        assert became(paper, "A-B+C@example.test") == f"hit{n}+@near.test"


def test_local_parts_count_in_domains_of_ours_alone(paper: PaperDirectory) -> None:
    paper.entry("canonical", "root@", "anna@example.test")

    assert became(paper, "root@other.test") == "anna@example.test"
    assert became(paper, "root@far.test") == "root@far.test"


def test_a_detail_goes_along_and_a_domain_keeps_local_parts(paper: PaperDirectory) -> None:
    paper.entry("canonical", "old@example.test", "anna@example.test")
    paper.entry("canonical", "@other.test", "@example.test")

    assert became(paper, "old+lists@example.test") == "anna+lists@example.test"
    assert became(paper, "Any.One+x@other.test") == "Any.One+x@example.test"


def test_groups_of_a_pattern_are_filled_in(paper: PaperDirectory) -> None:
    paper.entry("canonical", r"/^(\w+)\.(\w+)@example\.test$/", r"\2.\1@near.test")

    assert became(paper, "anna.berg@example.test") == "berg.anna@near.test"


def test_masquerading_hides_hosts_but_not_those_who_are_excepted(paper: PaperDirectory) -> None:
    paper.entry("masquerade", "@.example.test", "root")

    assert became(paper, "anna@a.b.example.test", SENDER) == "anna@example.test"
    assert became(paper, "root@a.b.example.test", SENDER) == "root@a.b.example.test"
    assert became(paper, "anna@example.test", SENDER) == "anna@example.test"


def test_canonical_maps_are_applied_once_each(paper: PaperDirectory) -> None:
    paper.entry("sender-canonical", "a@far.test", "b@far.test")
    paper.entry("sender-canonical", "b@far.test", "c@far.test")
    paper.entry("canonical", "b@far.test", "a@far.test")

    assert sent_as(paper, "a@far.test") == "a@far.test"
    assert sent_as(paper, "b@far.test") == "c@far.test"
    assert sent_as(paper, "") == ""


def test_generic_counts_outside_alone(paper: PaperDirectory) -> None:
    paper.entry("generic", "@example.test", "@public.test")

    assert sent_as(paper, "anna@example.test") == "anna@public.test"
    assert sent_as(paper, "anna@example.test", "bert@example.test") == "anna@example.test"


def test_virtual_goes_before_aliases_and_a_whole_domain_behind_them(paper: PaperDirectory) -> None:
    paper.alias("team@example.test", "anna@example.test")
    paper.entry("virtual", "@example.test", "@other.test")
    paper.entry("virtual", "bert@example.test", "bert@example.test", "x@far.test")
    paper.entry("virtual", "@other.test", "x@near.test")

    assert went(paper, "team@example.test") == ["anna@example.test"]
    assert went(paper, "anna@example.test") == ["anna@example.test"]
    assert went(paper, "bert@example.test") == ["bert@example.test", "x@far.test"]
    assert went(paper, "nobody@example.test") == ["x@near.test"]


def test_a_circle_of_maps_ends(paper: PaperDirectory) -> None:
    paper.entry("virtual", "@example.test", "@other.test")
    paper.entry("virtual", "@other.test", "@example.test")

    assert went(paper, "nobody@example.test") == ["†nobody@example.test"]
    assert list(decided(paper, "a@example.test").dead.values()) == [NOBODY]


def test_what_leaves_by_a_map_has_a_sender_of_ours(paper: PaperDirectory) -> None:
    paper.entry("virtual", "list@example.test", "x@far.test")

    made = decided(paper, "list@example.test", sender="eve@near.test")

    [branch] = branches_of(made.decisions[0])
    assert branch.sender is not None
    assert branch.sender.startswith("SRS0=")
    assert branch.sender.endswith("@example.test")


@pytest.mark.parametrize(
    ("kind", "key", "targets"),
    [
        ("nonsense", "a@b.test", ["c@b.test"]),
        ("canonical", "a b@c.test", ["c@b.test"]),
        ("canonical", "a@b.test", []),
        ("canonical", "a@b.test", ["c@b.test", "d@b.test"]),
        ("canonical", "a@b.test", ["c"]),
        ("masquerade", "a@b.test", []),
        ("transport", "@.b.test", ["relay.test"]),
        ("transport", "a@b.test", ["maildir:%d/%u"]),
        ("relocated", "a@b.test", ["two\nlines"]),
        ("virtual", "//", ["c@b.test"]),
    ],
)
def test_what_is_no_entry_is_refused(kind: str, key: str, targets: list[str]) -> None:
    with pytest.raises(BadEntry):
        entry_of(kind, key, targets)


@given(st.text(max_size=40))
def test_a_key_is_read_or_refused_and_reads_the_same_again(text: str) -> None:
    try:
        key = key_of(text)
    except BadEntry:
        return
    assert key_of(key) == key


ADDRESSES = st.sampled_from(
    [
        f"{who}@{where}.test"
        for who in ("anna", "b-c", "d+e")
        for where in ("example", "other", "far")
    ]
)
WIDE = st.sampled_from(["@example.test", "@other.test", "@far.test", "@.test", "*", "anna@"])
LINES = st.lists(
    st.tuples(
        st.sampled_from(["virtual", "canonical", "recipient-canonical", "sender-canonical"]),
        ADDRESSES | WIDE,
        ADDRESSES | st.sampled_from(["@example.test", "@other.test", "@far.test"]),
    ),
    max_size=8,
)


@given(LINES, ADDRESSES, ADDRESSES)
def test_whatever_maps_say_every_recipient_arrives_or_ends_and_twice_the_same(
    lines: list[tuple[str, str, str]], recipient: str, sender: str
) -> None:
    paper = house()
    for kind, key, target in lines:
        paper.entry(kind, key, target)

    first = decided(paper, recipient, sender=sender)

    assert first == decided(paper, recipient, sender=sender)
    for decision in first.decisions:
        assert branches_of(decision)
        for branch in branches_of(decision):
            is_dead = branch.road == "local" and not branch.account
            assert not is_dead or branch.address.lower() in first.dead


def test_every_map_has_a_form() -> None:
    for kind in KINDS:
        with pytest.raises(BadEntry, match="takes"):
            entry_of(kind, "@.a.test", [""] * 2000)


HEADER = b"""\
Received: from a@old.test (x)\r
From: "anna@old.test" (b@old.test (c) e@old.test) <Anna@old.test>,\r
\tbert@host.example.test\r
To: =?utf-8?q?a@old.test?= <x@old.test>, "q q"@old.test, y@far.test\r
Cc: list: c@old.test, d@old.test;\r
Subject: anna@old.test \xff\r
"""


CASE = Case(id=UUID(int=1), client="192.0.2.1", octets=HEADER, size=len(HEADER))


async def test_addresses_in_fields_are_rewritten_and_nothing_else() -> None:
    paper = house()
    paper.entry("canonical", "@old.test", "@example.test")
    paper.entry("masquerade", "@.example.test")
    paper.entry("recipient-canonical", "y@far.test", "y@near.test")

    async def current() -> Maps:
        return maps_of(paper.shape())

    headers = HeaderMaps(current, paper.resolve, _never)
    assert headers.is_idle
    assert await headers(CASE, HEADER) == HEADER
    await headers.refresh()
    assert not headers.is_idle
    after = await headers(CASE, HEADER)

    assert after == (
        HEADER.replace(b"<Anna@old", b"<Anna@example").replace(b"bert@host.", b"bert@")
        .replace(b"<x@old", b"<x@example").replace(b"y@far", b"y@near")
        .replace(b"c@old", b"c@example").replace(b"d@old", b"d@example")
    )  # fmt: skip


@pytest.mark.parametrize("is_leaving", [True, False])
async def test_generic_maps_change_all_addresses_of_what_leaves(*, is_leaving: bool) -> None:
    paper = house()
    paper.entry("canonical", "anna@host.test", "anna@example.test")
    paper.entry("generic", "anna@example.test", "anna.smith@brand.test")
    paper.entry("generic", "@other.test", "@brand.test")
    asked: list[Case] = []

    async def current() -> Maps:
        return maps_of(paper.shape())

    async def leaves(case: Case) -> bool:
        asked.append(case)
        return is_leaving

    headers = HeaderMaps(current, paper.resolve, leaves)
    await headers.refresh()
    header = (
        b"From: Anna <anna@host.test>\r\nDisposition-Notification-To: anna@example.test\r\n"
        b"Resent-Cc: c@other.test, x@far.test\r\nIn-Reply-To: <1@other.test>\r\n\r\n"
    )
    after = await headers(CASE, header)

    assert asked == [CASE]
    once = header.replace(b"anna@host", b"anna@example")
    outside = once.replace(b"anna@example", b"anna.smith@brand").replace(b"c@other", b"c@brand")
    assert after == (outside if is_leaving else once)


async def _never(_: Case) -> bool:
    raise AssertionError("there is no map that it matters for")


@given(st.binary(max_size=300))
def test_any_header_stays_as_it_is_where_maps_say_nothing(octets: bytes) -> None:
    paper = house()
    paper.entry("canonical", "a@b.test", "c@d.test")
    text = octets.decode("utf-8", "surrogateescape")
    known = paper.known([])
    missing: set[str] = set()
    while True:
        missing.clear()
        after = headed(text, maps_of(paper.shape()), known, missing)
        if not missing:
            break
        known |= paper.known(sorted(missing))

    assert after.encode("utf-8", "surrogateescape") == octets
