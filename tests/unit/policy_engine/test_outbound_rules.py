"""What looks wrong about an account, and how its limits are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default

import pytest

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.pipeline import Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.outbound.letter import compose
from policy_engine.outbound.limits import Limits, parse_rates
from policy_engine.outbound.rules import RULES, Thresholds, alarms
from policy_engine.outbound.settings import parse_consequences
from posthouse.mail.ids import new_id
from posthouse.mail.rates import Buckets
from posthouse.storage.outbound.alarms import Raised
from posthouse.storage.outbound.counting import Today
from posthouse.storage.outbound.terms import Terms

ANNA = "anna@example.test"
MOST = Thresholds(volume=100, factor=10, strangers=50, failures=5, networks=3, spam=2, logins=6)
DONE = parse_consequences("volume=pause,failures=hold")
NOTHING = {
    (scope, thing): parse_rates("0")
    for scope in ("account", "domain", "tenant")
    for thing in ("messages", "recipients", "octets")
}


@pytest.mark.parametrize(
    ("today", "rule"),
    [
        (Today(account=ANNA, recipients=101, usual=5), "volume"),
        (Today(account=ANNA, strangers=51), "strangers"),
        (Today(account=ANNA, failures=6), "failures"),
        (Today(account=ANNA, networks=4), "networks"),
        (Today(account=ANNA, spam=3), "spam"),
        (Today(account=ANNA, logins=7), "logins"),
    ],
)
def test_each_rule_speaks_beyond_its_threshold_and_not_at_it(today: Today, rule: str) -> None:
    [found] = alarms(today, MOST, DONE)

    assert (found.account, found.rule) == (ANNA, rule)
    assert found.consequence == {"volume": "pause", "failures": "hold"}.get(rule, "alert")
    at_it = Today(
        account=ANNA, recipients=100, strangers=50, failures=5, networks=3, spam=2, logins=6
    )
    assert alarms(at_it, MOST, DONE) == []
    off = Thresholds(volume=0, strangers=0, failures=0, networks=0, spam=0, logins=0)
    assert alarms(today, off, DONE) == []


def test_who_always_sends_much_may_go_on() -> None:
    busy = Today(account=ANNA, recipients=4000, usual=500)

    assert alarms(busy, MOST, DONE) == []
    assert [each.rule for each in alarms(replace(busy, recipients=5001), MOST, DONE)] == ["volume"]


def test_consequences_are_read_or_refused() -> None:
    assert dict(parse_consequences("")) == dict.fromkeys(RULES, "alert")
    for wrong in ("volume", "volume=shout", "nothing=pause"):
        with pytest.raises(ValueError, match="must look like"):
            parse_consequences(wrong)


def test_rates_are_read_or_refused() -> None:
    assert [str(rate) for rate in parse_rates("5/1h, 9/1d")] == ["5/3600s", "9/86400s"]
    assert parse_rates("0") == ()
    for wrong in ("", "5", "5/1h,x", "1/1s,1/1s,1/1s,1/1s,1/1s"):
        with pytest.raises(ValueError, match="must"):
            parse_rates(wrong)


def test_a_full_limit_counts_nothing_and_says_whose_it_is() -> None:
    buckets = Buckets(clock=lambda: 0.0)
    limits = Limits(buckets, {**NOTHING, ("account", "messages"): parse_rates("9/1h")})
    terms = Terms(tenant="acme", limits={("tenant", "messages"): "2/1d"})

    assert limits.take(ANNA, terms, "messages") is None
    assert limits.take(ANNA, terms, "messages") is None
    for _ in range(20):
        full = limits.take(ANNA, terms, "messages")
        assert full is not None
        assert full.text == "Sending limit of tenant acme reached: 2 messages in 1d"
    assert limits.take(ANNA, Terms(), "messages") is None  # seven are left of its own nine


def test_the_mail_says_what_was_seen_and_what_to_do() -> None:
    raised = Raised(
        id=1, account=ANNA, rule="volume", consequence="pause", detail="500 recipients",
        at=datetime(2026, 1, 2, tzinfo=UTC), cleared_at=None,
    )  # fmt: skip
    mail = message_from_bytes(
        compose(new_id(), "mx.test", ["a@b.test"], raised, raised.at), policy=default
    )

    assert mail["Subject"] == "Account anna@example.test: volume (pause)"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "500 recipients" in text
    assert "posthouse account resume anna@example.test --discard" in text


class _Points:
    name = "points"
    if_away: Action | None = None
    wants_all = False
    of_ours = True
    of_strangers = True

    async def __call__(self, case: Case) -> list[Finding]:
        return [Finding(rule="POINTS", score=4.0, seen=case.client)]


async def test_mail_of_this_house_has_levels_of_its_own() -> None:
    ours = Levels(tag=2.0, quarantine=None, reject=4.0)
    pipeline = Pipeline(None, [_Points()], Levels(tag=3.0), timedelta(seconds=5), of_ours=ours)
    stranger = Case(id=new_id(), client="192.0.2.1", octets=b"\r\n", size=2)

    assert (await pipeline.judge(stranger)).judgement.action == "tag"
    assert (await pipeline.judge(replace(stranger, auth=ANNA))).judgement.action == "reject"
