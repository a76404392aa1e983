"""Reading SpamAssassin's language: what is taken, and that nothing is dropped without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.rules.expressions import read_expression
from posthouse.rules.perl import read_pattern
from posthouse.rules.reading import File, read_files, read_rules
from posthouse.rules.rule import BadRule, Rule

DEBIAN = Path("/usr/share/spamassassin")


def _rule(text: str, name: str) -> Rule:
    return next(rule for rule in read_rules(text).rules if rule.name == name)


def test_a_rule_is_gathered_from_its_lines() -> None:
    read = read_rules(
        "body PILLS /cheap pills/i   # a comment\n"
        "describe PILLS Offers pills\n"
        "score PILLS 1.5 2 2.5 3\n"
        "tflags PILLS multiple maxhits=3\n"
    )

    rule = read.rules[0]
    assert read.faults == ()
    assert (rule.kind, rule.source, rule.about) == ("body", "/cheap pills/i", "Offers pills")
    assert (rule.score(has_bayes=False), rule.score(has_bayes=True)) == (2.0, 3.0)
    assert rule.max_hits == 3


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("body A /x/", 1.0),
        ("body A /x/\ntflags A nice", -1.0),
        ("body T_A /x/", 0.01),
        ("body __A /x/\nscore __A 5", 0.0),
        ("body A /x/\nscore A 2\nscore A (0.5)", 2.5),
    ],
)
def test_scores_that_are_not_told_are_the_usual_ones(text: str, score: float) -> None:
    assert read_rules(text).rules[0].score(has_bayes=False) == score


def test_the_score_of_what_another_check_finds_is_a_rule_by_itself() -> None:
    rule = _rule(
        "ifplugin Mail::SpamAssassin::Plugin::SPF\n"
        "header SPF_FAIL eval:check_for_spf_fail()\nscore SPF_FAIL 0.9\nendif",
        "SPF_FAIL",
    )

    assert (rule.kind, rule.scores) == ("score", (0.9,))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("body A /(?<!x)y/", "RE2 does not know it: invalid perl operator"),
        (r"body A /(a)\1/", r"RE2 does not know it: invalid escape sequence: \1"),
        ("body A eval:check_stuff()", "eval:"),
        ("header A X-Spam-Relays-Untrusted =~ /x/", "not known here"),
        ("header A From:revip =~ /x/", "no such form"),
        ("meta A B &&", "too early"),
        ("meta A rules_matching(B*)", "no function"),
        ("mimeheader A Content-Type =~ /x/", "no line of rules"),
        ("score A many", "not a score"),
        ("lang de describe A Hallo", "another language"),
        ("endif", "without if"),
        ("required_score 5", "is a setting of policy"),
        ("welcomelist_from *@a.test", "policy import spamassassin"),
        ("body A-B /x/", "not a rule's name"),
        ("body A x", "written /.../"),
        ("body A //", "matches everything"),
        ("body A /x/q", "unknown flags"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_taken_is_reported_with_its_number_and_reason(
    line: str, why: str
) -> None:
    read = read_rules(f"body OK /fine/\n\n{line}\n")

    assert [rule.name for rule in read.rules] == ["OK"]
    assert [(fault.line, why in fault.why) for fault in read.faults] == [(3, True)]


def test_blocks_are_followed_and_what_is_passed_over_is_reported() -> None:
    read = read_rules(
        "if (version >= 3.004002)\nbody A /a/\nelse\nbody B /b/\nendif\n"
        "ifplugin Mail::SpamAssassin::Plugin::Nobody\nif (version < 3)\nbody C /c/\nendif\nendif\n"
        "if !plugin(Mail::SpamAssassin::Plugin::Nobody)\nbody D /d/\nendif\n"
    )

    assert [rule.name for rule in read.rules] == ["A", "D"]
    assert [fault.line for fault in read.faults] == [4, 8]
    assert "Nobody" in read.faults[1].why


def test_rules_made_of_tags_are_not_run_as_if_the_tags_were_text() -> None:
    read = read_rules("body A /<V>iagra/\nreplace_rules A\nscore A 3\n")

    assert read.rules == ()
    assert len(read.faults) == 2


def test_a_meta_is_refused_that_would_hold_only_because_a_rule_cannot_be_run() -> None:
    read = read_rules(
        "body A /a/\nbody B /(?!x)b/\nmeta C A && !(A + B > 1)\nmeta D A && !C\nmeta E A || B\n"
        "header SPF_PASS eval:x()\nmeta F A && !SPF_PASS\n"
    )

    assert [rule.name for rule in read.rules] == ["A", "E", "F"]
    assert [(fault.line, fault.text) for fault in read.faults][1:3] == [
        (3, "meta C: B"),
        (4, "meta D: C"),
    ]


@pytest.mark.parametrize(
    ("literal", "pattern"),
    [
        ("/a/i", b"(?i)a"),
        ("m{a/b}x", b"a/b"),
        (r"m,\ha\Z,", rb"[ \t]a(?:\n?\z)"),
        ("m'[/#x ] # said\n y'x", b"[/#x ]y"),
        (r"/\x{2019}s/", rb"(?:\xe2\x80\x99)s"),
        ("/é/", "é".encode()),
        ("/[[:alpha:]]]/", b"[[:alpha:]]]"),
    ],
)
def test_perls_way_of_writing_becomes_re2s(literal: str, pattern: bytes) -> None:
    assert read_pattern(literal) == pattern


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A && B", 0), ("A || B", 2), ("!A", 0), ("!B", 1), ("(A + C >= 5) && !B", 1),
        ("A * 2 + C == 7", 1), ("C / 0", 0), ("-C < 0", 1), ("A && (B || C) > 2", 1), ("1 - 1 - 1", -1),
    ],
)  # fmt: skip
def test_expressions_come_to_what_perl_makes_of_them(text: str, value: float) -> None:
    assert read_expression(text).value({"A": 2, "C": 3}) == value


def test_an_expression_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(BadRule, match="nested"):
        read_expression("(" * 5000 + "A" + ")" * 5000)


@given(st.text(max_size=300))
def test_any_text_is_read_or_reported_line_by_line(text: str) -> None:
    read = read_rules(text)

    assert all(fault.why for fault in read.faults)


def test_debians_own_rules_are_read() -> None:
    """The package is installed by deploy/local/setup.sh: without it, this fails, as it should."""
    files = sorted(DEBIAN.glob("*.cf"))
    text = "\n".join(path.read_text(encoding="utf-8", errors="surrogateescape") for path in files)

    read = read_rules(text)

    assert len(read.rules) > 1500
    known = {rule.name: rule for rule in read.rules}
    assert known["DEAR_FRIEND"].kind == "body"
    assert known["SPF_FAIL"].kind == "score"
    accounted = {fault.why.partition(":")[0] for fault in read.faults}
    assert "RE2 does not know it" in accounted
    assert not [fault for fault in read.faults if "meta" in fault.text[:4] and "RE2" in fault.why]


def test_files_are_read_one_behind_the_other_as_one() -> None:
    read = read_files(
        [
            File("a/10.cf", "body A /a/\nmeta M A && !__B\ninclude more/b.cf\nbody BAD /(?!x)/\n"),
            File("a/50.cf", "score A 3\nif version > 9\n"),
            File("local.cf", "score A 4\ndescribe __B Said\nscore NONE\n"),
        ],
        [File("more/b.cf", "body __B /b/\nbody ODD /x\n")],
    )

    told = {rule.name: (rule.scores, rule.about, rule.file) for rule in read.rules}
    assert told == {
        "A": ((4.0,), "", "a/10.cf"), "M": ((), "", "a/10.cf"), "__B": ((), "Said", "more/b.cf")
    }  # fmt: skip
    assert [(each.file, each.line) for each in read.faults] == [
        ("a/10.cf", 4), ("a/50.cf", 0), ("local.cf", 3), ("more/b.cf", 2)
    ]  # fmt: skip


def test_files_that_include_themselves_end() -> None:
    bomb = "include a\n" * 3

    read = read_files([File("a", bomb + "#" * 100_000), File("b", "include c\nbody A /a/")])

    assert [rule.name for rule in read.rules] == ["A"]
    reasons = {fault.why for fault in read.faults}
    assert "files include each other deeper than 10" in reasons
    assert "more than 4194304 characters are included" in reasons
    assert "the file that it includes is not at hand" in reasons
