"""Running rules over letters: what each kind sees, metas, bounds."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.rules.compiled import compile_rules, without
from posthouse.rules.costs import too_slow
from posthouse.rules.letter import Letter
from posthouse.rules.matching import Patterns
from posthouse.rules.reading import read_rules
from posthouse.rules.running import SLOW_SECONDS, conclude, run

LETTER = (
    b'From: "Big Bank" <info@bank.test>\r\nTo: anna@ours.test\r\nCc: bert@ours.test\r\n'
    b"Subject: =?utf-8?q?Gro=C3=9Fer?=\r\n Gewinn\r\nReceived: one\r\nReceived: two\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Dear=20friend,\r\nyou won a\r\nmillion.\r\n\r\nClick http://won.test/now!\r\n\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n"
    b'<p>You <b>w</b>on</p><a href="https://track.test/?a=1&amp;b=2">here</a>\r\n--b--\r\n'
)


def _found(
    rules: str, letter: bytes = LETTER, others: Iterable[str] = (), sender: str = ""
) -> dict[str, float]:
    read = read_rules(rules)
    assert read.faults == ()
    compiled = compile_rules(read.rules)
    assert compiled.faults == {}
    ran = run(compiled, Letter(octets=letter, sender=sender))
    return {each.hit.rule.name: each.score for each in conclude(compiled, ran, others)}


@pytest.mark.parametrize(
    "rule",
    [
        "header A Subject =~ /^Gro\xc3\x9fer Gewinn$/",
        "header A Subject:raw =~ /=\\?utf-8\\?q\\?/",
        "header A From:addr =~ /^info@bank\\.test$/",
        "header A From:name =~ /^Big Bank$/",
        "header A ToCc =~ /anna.*\\n.*bert/s",
        "header A Received =~ /^two$/m",
        "header A ALL =~ /^Subject: Gro/m",
        "header A EnvelopeFrom =~ /^bounce@bank/",
        "header A exists:Cc",
        "header A X-Mailer !~ /Outlook/",
        "header A X-Mailer =~ /^none$/ [if-unset: none]",
        "body A /^Gro/",
        "body A /Dear friend, you won a million/",
        "body A /You won/",
        "rawbody A /<b>w<.b>/",
        "rawbody A /you won a$/m",
        "full A /Dear=20friend/",
        "uri A m{^http://won\\.test/now$}",
        "uri A m{^https://track\\.test/\\?a=1&b=2$}",
        "meta A SPF_FAIL && !DKIM_VALID",
        "meta A (SPF_FAIL + BAYES_99) > 1",
    ],
)
def test_each_kind_sees_what_spamassassin_shows_it(rule: str) -> None:
    text = rule.encode("latin-1").decode("utf-8")

    assert _found(text, others=["SPF_FAIL", "BAYES_99"], sender="bounce@bank.test") == {"A": 1.0}


@pytest.mark.parametrize(
    "rule",
    [
        "header A From:addr =~ /Big/",
        "header A exists:X-Mailer",
        "header A Subject !~ /Gewinn/",
        "header A X-Mailer =~ /^other$/ [if-unset: none]",
        "body A /million\\.\\s+Click/",
        "body A /<b>/",
        "rawbody A /Dear=20/",
        "uri A /friend/",
        "meta A DKIM_VALID",
    ],
)
def test_what_is_not_there_is_not_found(rule: str) -> None:
    assert _found(rule) == {}


def test_metas_build_on_metas_and_on_how_often_something_is_found() -> None:
    rules = (
        "body __WON /won/i\ntflags __WON multiple\n"
        "meta MANY __WON >= 2\nmeta BOTH MANY && __WON > 0\nmeta NEITHER !MANY\nscore MANY 2\n"
    )

    assert _found(rules) == {"MANY": 2.0, "BOTH": 1.0}


def test_metas_that_go_in_circles_are_left_out_and_said_so() -> None:
    compiled = compile_rules(read_rules("meta A B\nmeta B A\nbody C /x/\n").rules)

    assert set(compiled.faults) == {"A", "B"}
    assert set(compiled.rules) == {"C"}


def test_of_four_scores_bayes_chooses() -> None:
    rules = "body A /won/\nscore A 1 2 3 4"

    assert _found(rules) == {"A": 2.0}
    assert _found(rules, others=["BAYES_50"])["A"] == 4.0


def test_a_score_of_nothing_turns_a_rule_off() -> None:
    assert _found("body A /won/\nscore A 0\nmeta B A\n") == {}


def test_what_other_checks_find_gets_points() -> None:
    assert _found("score SPF_FAIL 1.5", others=["SPF_FAIL"]) == {"SPF_FAIL": 1.5}
    assert _found("score SPF_FAIL 1.5") == {}


def test_live_metas_know_nothing_of_shadows() -> None:
    compiled = compile_rules(read_rules("body S /won/\nmeta L S\nmeta M S\n").rules)
    ran = run(compiled, Letter(octets=LETTER))

    found = {each.hit.rule.name for each in conclude(compiled, ran, (), frozenset({"S", "M"}))}

    assert found == {"S", "M"}


def test_what_was_found_is_shown() -> None:
    compiled = compile_rules(read_rules("body A /you won a \\w+/").rules)

    assert run(compiled, Letter(octets=LETTER)).hits["A"].seen == "you won a million"


def test_ten_thousand_patterns_find_each_its_own() -> None:
    words = [b"word%dand%d" % (number * 7919, number) for number in range(10_000)]
    patterns = Patterns([word + rb"\b" for word in words])

    for number in range(0, 10_000, 97):
        assert list(patterns.possible(b"xx " + words[number] + b" yy")) == [number]


def test_patterns_of_other_octets_find_each_its_own() -> None:
    words = [f"größe{number}ü" for number in range(500)]
    patterns = Patterns([word.encode() for word in words], by_lines=True)

    for number in range(0, 500, 7):
        text = f"a\n{words[number]}\nb".encode()
        assert [each for each in patterns.possible(text) if patterns.hits(each, text, 1)] == [
            number
        ]


def test_a_pattern_that_would_hang_others_costs_linear_time() -> None:
    compiled = compile_rules(read_rules("body A /(?:a+)+(?:a*)*b/\nbody C /(x+x+)+y/").rules)
    letter = Letter(octets=b"Subject: x\r\n\r\n" + b"a" * 60_000 + b"\r\n\r\n" + b"x" * 60_000)

    began = time.process_time()
    ran = run(compiled, letter)

    assert ran.hits == {}
    assert time.process_time() - began < 1.0


def test_what_takes_too_long_is_cut_and_said_so() -> None:
    compiled = compile_rules(
        read_rules("body A /won/\nrawbody B /won/\nmeta C !B\nmeta D !C").rules
    )

    ran = run(compiled, Letter(octets=LETTER), most_seconds=-1.0)

    assert not ran.hits
    assert ran.left == {"A", "B"}
    # What excludes a rule that did not run does not hold for that.
    assert list(conclude(compiled, ran, [])) == []


def test_of_one_text_the_rest_is_left_when_the_time_is_up() -> None:
    """Noise of two characters makes RE2's automaton too large for such patterns: they crawl."""
    rules = "".join(f"rawbody A{n} /a.{{{n}}}x/\n" for n in range(880, 900))
    compiled = compile_rules(read_rules(rules).rules)
    noise = hashlib.shake_128(b"x").digest(100_000).translate(bytes(97 + n % 2 for n in range(256)))

    ran = run(compiled, Letter(octets=b"Subject: x\r\n\r\nx" + noise), most_seconds=0.2)

    assert ran.slow[0][0].startswith("A")
    assert ran.slow[0][1] > SLOW_SECONDS
    assert 0 < len(ran.left) < 20


def test_a_pattern_that_some_text_makes_slow_is_told() -> None:
    compiled = compile_rules(
        read_rules("body GOOD /you (?:have )?won/i\nbody BAD /a.{900}x/\nmeta M !BAD").rules
    )

    faults = too_slow(compiled)

    assert list(faults) == ["BAD"]
    assert "s of CPU for a hostile text of 128 KiB" in faults["BAD"].why


def test_with_a_rule_go_metas_that_exclude_it() -> None:
    rules = read_rules("body A /a/\nbody B /b/\nmeta C !A\nmeta D !C && B\nmeta E A || B").rules

    left, metas = without(rules, {"A"})

    assert [each.name for each in left] == ["B", "E"]
    assert metas == {"C": "A", "D": "C"}


@given(st.binary(max_size=400))
def test_any_octets_are_a_letter(octets: bytes) -> None:
    _found(
        "body A /a/\nrawbody B /b/\nfull C /c/\nuri D /d/\nheader E ALL =~ /e/\n"
        "header F From:addr =~ /f/\nheader G MESSAGEID =~ /g/\n",
        octets,
    )


@pytest.mark.parametrize(
    "flood",
    [
        b"<a href=" * 20_000, b"<a " + b" " * 100_000, b"www." * 30_000, b"<" * 120_000,
        b"\n \n" * 40_000, b"http://" * 20_000, b'<a href="' + b"&#9" * 40_000,
    ],
)  # fmt: skip
def test_floods_cost_linear_time(flood: bytes) -> None:
    octets = b"Content-Type: text/html\r\nFrom: " + flood[:500] + b"\r\n\r\n" + flood

    began = time.process_time()
    _found("body A /zzz/\nuri B /zzz/\nrawbody C /zzz/", octets)

    assert time.process_time() - began < 2.0
