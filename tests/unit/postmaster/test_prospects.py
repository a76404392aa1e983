"""What can be done with a dead letter, as its recipients stand in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from posthouse.bus.wire import encode
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.ids import new_id
from posthouse.storage.dead_letters import DeadLetter
from posthouse.storage.ledger import Chosen, Looked, Place, Road, State
from postmaster.deadletters import (
    MAILBOX,
    NOT_ROUTED,
    UNKNOWN,
    UNREADABLE,
    Busy,
    Kept,
    Outlived,
    Prospect,
    Ready,
    Verb,
    prospect_of,
)

ID = new_id()
ANNA, BERT = (ID, 0), (ID, 1)


def letter(body: bytes | None = None) -> DeadLetter:
    people = tuple(InboundRecipient(n=n, address=f"u{n}@b.test") for n in range(2))
    travelled = encode(Inbound(id=ID, sender="eve@far.test", size=1, recipients=people))
    now = datetime.now(UTC)
    return DeadLetter(
        id=7, road="mail.inbound", service="policy", reason="a bug", exception="",
        fingerprint="f", envelope=ID, body=travelled if body is None else body, attempts=1,
        first_failed=now, last_failed=now, state="waiting", note="", ended_at=None,
    )  # fmt: skip


def stands(place: Place, state: State, road: Road | None = "remote") -> dict[Place, Looked]:
    chosen = Chosen(id=place[0], n=place[1], domain="b.test", sender="eve@far.test")
    return {place: Looked(state=state, road=road, chosen=chosen, is_due=False)}


def kept(reason: str) -> Kept:
    return Kept(id=7, reason=reason)


@pytest.mark.parametrize(
    ("verb", "looked", "prospect"),
    [
        ("replay", {}, kept(UNKNOWN)),
        ("replay", stands(ANNA, "relayed") | stands(BERT, "held"), Outlived()),
        ("replay", stands(ANNA, "deferred") | stands(BERT, "dead"), Ready((BERT,))),
        ("replay", stands(ANNA, "dead", None) | stands(BERT, "dead", "local"), Ready((ANNA, BERT))),
        ("reroute", stands(ANNA, "dead") | stands(BERT, "delivered", "local"), Ready((ANNA,))),
        ("reroute", stands(ANNA, "dead") | stands(BERT, "dead", "local"), kept(MAILBOX)),
        ("reroute", stands(ANNA, "dead") | stands(BERT, "dead", None), kept(NOT_ROUTED)),
        ("bounce", stands(ANNA, "dead", None) | stands(BERT, "dead", "local"), Ready((ANNA, BERT))),
    ],
)
def test_only_what_lies_dead_is_the_letters(
    verb: Verb, looked: dict[Place, Looked], prospect: Prospect
) -> None:
    assert prospect_of(letter(), verb, looked) == prospect


def test_a_letter_stays_while_somebody_works_on_a_copy_of_what_is_dead() -> None:
    looked = stands(ANNA, "dead") | stands(BERT, "relayed")

    assert prospect_of(letter(), "reroute", looked, {ANNA}) == Busy()
    assert prospect_of(letter(), "reroute", looked, {BERT}) == Ready((ANNA,))


def test_what_cannot_be_read_stays() -> None:
    assert prospect_of(letter(b"\xff"), "bounce", {}) == kept(UNREADABLE)
