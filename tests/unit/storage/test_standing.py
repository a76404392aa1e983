"""From rows to envelopes: every open recipient travels exactly once, with those it can share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.envelope import Envelope, Inbound, Local, Remote, Summary
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import Facts, Standing, envelopes_of, facts_of

SUMMARY = Summary(envelope=b"e", bodystructure=b"b", header=b"h", parts=b"p")
FACTS = Facts(
    id=new_id(), sender="carl@far.test", size=7, body="8BITMIME", smtputf8=True, auth="carl",
    summary=SUMMARY,
)  # fmt: skip

_roads = st.one_of(
    st.fixed_dictionaries({"state": st.just("accepted")}),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["routed", "deferred", "dead"]),
            "road": st.just("local"),
            "account": st.integers(1, 3),
            "folder": st.sampled_from(["", "lists"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["routed", "deferred", "dead"]),
            "road": st.just("remote"),
            "domain": st.sampled_from(["far.test", "near.test"]),
        }
    ),
)


@st.composite
def standings(draw: st.DrawFn) -> list[Standing]:
    made = [
        Standing(
            n=n,
            address=f"u{n}@far.test",
            sender=draw(st.sampled_from([None, "srs@example.test"])),
            attempts=draw(st.integers(0, 2)),
            warned=draw(st.booleans()),
            **draw(_roads),
        )
        for n in range(draw(st.integers(0, 8)))
    ]
    return draw(st.permutations(made))


def one_of(envelope: Envelope, standing: Standing) -> bool:
    """True if ``envelope`` says of its recipients what ``standing`` says of its own."""
    if envelope.sender != (standing.sender or FACTS.sender):
        return False
    match envelope:
        case Inbound():
            return standing.road is None
        case Local():
            found = next(r for r in envelope.recipients if r.n == standing.n)
            return (
                standing.road == "local"
                and (found.account, found.folder) == (standing.account, standing.folder)
                and (envelope.attempts, envelope.warned) == (standing.attempts, standing.warned)
            )
        case Remote():
            return (
                standing.road == "remote"
                and envelope.domain == standing.domain
                and (envelope.attempts, envelope.warned) == (standing.attempts, standing.warned)
            )


@given(standings())
def test_every_open_recipient_travels_once_and_as_the_ledger_says(made: list[Standing]) -> None:
    envelopes = envelopes_of(FACTS, made)

    travelling = [(r.n, e) for e in envelopes for r in e.recipients]
    by_number = {standing.n: standing for standing in made}
    assert sorted(n for n, _ in travelling) == sorted(s.n for s in made if s.state != "dead")
    assert all(one_of(envelope, by_number[n]) for n, envelope in travelling)
    assert all(r.address == by_number[r.n].address for e in envelopes for r in e.recipients)


@given(standings())
def test_no_two_envelopes_could_have_been_one(made: list[Standing]) -> None:
    envelopes = envelopes_of(FACTS, made)

    kinds = {
        (
            type(e),
            e.sender,
            getattr(e, "domain", ""),
            getattr(e, "attempts", 0),
            getattr(e, "warned", 0),
        )
        for e in envelopes
        if not isinstance(e, Inbound)
    }
    assert len(kinds) == sum(not isinstance(e, Inbound) for e in envelopes)


@given(standings())
def test_the_order_of_the_rows_does_not_matter(made: list[Standing]) -> None:
    assert envelopes_of(FACTS, made) == envelopes_of(FACTS, sorted(made, key=lambda s: -s.n))


def test_what_all_envelopes_share_is_passed_on() -> None:
    fresh = Standing(n=0, address="a@b.test")
    inbound = envelopes_of(FACTS, [fresh])[0]

    assert isinstance(inbound, Inbound)
    assert facts_of(inbound) == FACTS
    assert (inbound.size, inbound.body, inbound.smtputf8) == (7, "8BITMIME", True)


def test_the_summary_travels_to_mailboxes_and_not_to_the_world() -> None:
    local = Standing(n=0, address="a@b.test", state="routed", road="local", account=1)
    remote = Standing(n=1, address="a@c.test", state="routed", road="remote", domain="c.test")

    first, second = envelopes_of(FACTS, [local, remote])

    assert isinstance(first, Local)
    assert first.summary == SUMMARY
    assert isinstance(second, Remote)
