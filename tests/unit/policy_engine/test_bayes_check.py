"""The classifier among the checks: its settings, its words, what it learns by itself."""

from __future__ import annotations

from uuid import UUID

import pytest
from pydantic import ValidationError

from policy_engine.bayes.autolearning import Extremes, score_of_others
from policy_engine.bayes.check import account_of
from policy_engine.bayes.settings import SCORES, BayesSettings, parse_scores
from policy_engine.content.case import Case
from policy_engine.content.finding import Finding
from policy_engine.content.pipeline import Judged
from policy_engine.content.verdict import Levels, decide
from posthouse.bayes.tokens import MAX_OCTETS, tokens_of
from posthouse.rules.letter import Letter

COMMON = {
    "database_url": "postgresql://x@localhost/x",
    "broker_url": "amqp://x@localhost/",
    "store": "disk:/nowhere",
    "hostname": "mx.example.test",
}


def test_scores_of_bands_are_changed_one_by_one() -> None:
    changed = parse_scores(" BAYES_99=5 , BAYES_50=0,")

    assert changed == {**SCORES, "BAYES_99": 5.0, "BAYES_50": 0.0}


@pytest.mark.parametrize(
    "text", ["BAYES_98=1", "BAYES_99", "BAYES_99=x", "BAYES_99=nan", "BAYES_99=1001"]
)
def test_other_scores_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        parse_scores(text)


def test_ham_may_not_begin_above_spam() -> None:
    with pytest.raises(ValidationError, match="must be less"):
        BayesSettings(**COMMON, bayes_learn_spam_score=5, bayes_learn_ham_score=6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("score", "kind"),
    [(15, "spam"), (12, "spam"), (11.9, None), (0, None), (-0.5, "ham"), (-1, "ham")],
)
def test_only_extremes_are_learned(score: float, kind: str | None) -> None:
    said = {"spam": True, "ham": False, None: None}

    assert Extremes(spam=12, ham=-0.5).kind_of(score) is said[kind]
    assert Extremes(spam=None, ham=None).kind_of(score) is None


def test_the_classifier_is_not_its_own_teacher() -> None:
    findings = [
        Finding(rule="BAYES_99", score=3.5),
        Finding(rule="GTUBE", score=9),
        Finding(rule="NEW", score=50, is_shadow=True),
    ]
    case = Case(id=UUID(int=1), client="192.0.2.1", octets=b"\r\n", size=2)

    assert score_of_others(Judged(case=case, judgement=decide(findings, Levels()))) == 9


@pytest.mark.parametrize(
    ("recipient", "account"),
    [("Anna+list@A.test", "anna@a.test"), ("anna@a.test", "anna@a.test"), ("nobody", "")],
)
def test_an_account_learns_for_all_its_details(recipient: str, account: str) -> None:
    assert account_of(recipient) == account


@pytest.mark.parametrize("octets", [20, MAX_OCTETS + 1000])
def test_what_the_rules_have_read_of_a_message_has_the_same_tokens(octets: int) -> None:
    letter = (
        b'Subject: hi\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nplain words\r\n'
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>shown words</p> " + b"more " * (octets // 5)
    )

    assert tokens_of(letter, Letter(octets=letter).tree) == tokens_of(letter)
