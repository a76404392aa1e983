"""Who stands on the suppression list gets nothing, and its sender hears why."""

from __future__ import annotations

from policy_engine.dead_ends import SUPPRESSED
from policy_engine.decisions import Plan
from policy_engine.suppression import going_out, hold_back
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.ids import new_id
from posthouse.storage.ledger import Branch, Expanded, Kept

OUT = Branch(road="remote", address="Bert@far.test", domain="far.test")
LISTED = Branch(road="remote", address="carl@far.test", domain="far.test", sender="owner@a.test")
HERE = Branch(road="local", address="dora@a.test", account=1)
PLAN = Plan(decisions=(Kept(0, OUT), Expanded(1, (LISTED, HERE))), dead={}, missing=frozenset())


def _mail(sender: str) -> Inbound:
    to = (InboundRecipient(n=0, address="x@a.test"), InboundRecipient(n=1, address="y@a.test"))
    return Inbound(id=new_id(), sender=sender, size=1, recipients=to)


def test_only_mail_that_leaves_the_house_is_asked_for_and_each_pair_once() -> None:
    mail = _mail("anna@a.test")

    assert going_out([mail, mail, _mail("")], [PLAN, PLAN, PLAN]) == [
        ("anna@a.test", "Bert@far.test"),
        ("owner@a.test", "carl@far.test"),
    ]


def test_a_recipient_that_is_held_back_leads_nowhere_and_others_go_on() -> None:
    held = hold_back(_mail("anna@a.test"), PLAN, {("owner@a.test", "carl@far.test"): "complaint"})

    nowhere = Branch(road="local", address="carl@far.test", sender="owner@a.test")
    assert held.decisions == (Kept(0, OUT), Expanded(1, (nowhere, HERE)))
    assert held.dead == {"carl@far.test": SUPPRESSED["complaint"]}


def test_nobody_is_held_back_for_another_sender() -> None:
    held = {("eve@a.test", "Bert@far.test"): "manual"}

    assert hold_back(_mail("anna@a.test"), PLAN, held) is PLAN  # type: ignore[arg-type]


def test_each_reason_names_the_rule() -> None:
    assert all("Suppression list" in dead.text for dead in SUPPRESSED.values())
    assert SUPPRESSED["bounces"].status.dotted == "5.1.1"
    assert SUPPRESSED["complaint"].status.dotted == SUPPRESSED["manual"].status.dotted == "5.7.1"
