"""Hygiene: each rule of form, wherever a message is cut into portions."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from ingress_smtp import replies
from ingress_smtp.hygiene import Inspection, Rules
from ingress_smtp.hygiene_settings import HygieneSettings
from ingress_smtp.replies import Reply
from posthouse.runtime.settings import CommonSettings

RULES = Rules()
HYGIENE = set(HygieneSettings.model_fields) - set(CommonSettings.model_fields)
BODY = b"\r\nbody\r\n"


def kept(message: bytes, rules: Rules = RULES, portion: int = 7) -> bytes:
    """Return what is kept of a message that comes in portions."""
    inspection = Inspection(rules, limit=1_000_000)
    parts = [inspection.see(message[at : at + portion]) for at in range(0, len(message), portion)]
    octets = b"".join(parts) + inspection.rest()
    assert inspection.finish(recipients=["anna@example.test"], declared=False) is None
    assert inspection.octets == len(octets)
    return octets


def flaw(
    message: bytes, rules: Rules = RULES, *, portion: int = 100_000, declared: bool = False,
    limit: int = 1_000_000,
) -> Reply | None:  # fmt: skip
    inspection = Inspection(rules, limit=limit)
    for at in range(0, len(message), portion):
        inspection.see(message[at : at + portion])
    inspection.rest()
    return inspection.finish(recipients=["anna@example.test"], declared=declared)


@pytest.mark.parametrize("portion", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("bare", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n\r\n", b"a\r"])
def test_a_bare_line_end_is_refused_wherever_it_stands(bare: bytes, portion: int) -> None:
    assert flaw(b"X: y\r\n\r\n" + bare, portion=portion) is replies.BARE_CR_OR_LF
    assert flaw(b"X: y\r\n\r\na\r\nb\r\n", portion=portion) is None


@pytest.mark.parametrize("portion", [1, 2, 3, 5, 1000])
def test_bare_line_ends_are_normalised_on_demand(portion: int) -> None:
    rules = replace(RULES, bare_line_ends="normalise")
    sent = b"X: y\n\na\n.\nb\rc\r\r\nd\r\n\ne\r"

    assert kept(sent, rules, portion) == b"X: y\r\n\r\na\r\n.\r\nb c \r\nd\r\n\r\ne "


@pytest.mark.parametrize("portion", [1, 2, 3, 5, 1000])
def test_nul_octets_are_refused_or_removed(portion: int) -> None:
    sent = b"X: y\r\n\r\na\0b\r\0\n"

    assert flaw(sent, portion=portion) is replies.NUL_OCTET
    assert kept(sent, replace(RULES, nul_octets="remove"), portion) == b"X: y\r\n\r\nab\r\n"


@pytest.mark.parametrize("portion", [1, 7, 998, 65_536])
def test_a_line_may_be_as_long_as_the_limit(portion: int) -> None:
    rules = replace(RULES, line_octets_max=998)
    short, long = b"x" * 998 + b"\r\n", b"x" * 999 + b"\r\n"

    assert flaw(b"\r\n" + short * 5, rules, portion=portion) is None
    for message in (long, short * 2 + long, long + short, b"x" * 1001):
        assert str(flaw(b"\r\n" + message, rules, portion=portion)) == (
            "550 5.6.0 Message has a line over 998 octets"
        )


def test_the_size_counts_what_is_kept() -> None:
    assert flaw(b"\r\n1234\r\n", limit=8) is None
    assert flaw(b"\r\n12345\r\n", limit=8) is replies.TOO_LARGE
    mended = replace(RULES, bare_line_ends="normalise")
    assert flaw(b"\n\n\n\n\n", mended, limit=8) is replies.TOO_LARGE


@pytest.mark.parametrize("portion", [1, 1000, 100_000])
def test_a_header_has_a_limit_and_a_body_has_not(portion: int) -> None:
    rules = replace(RULES, header_octets_max=20_000)
    field = b"X: " + b"y" * 95 + b"\r\n"

    assert flaw(field * 199 + b"\r\n" + field * 500, rules, portion=portion) is None
    assert flaw(field * 201 + b"\r\n", rules, portion=portion) is replies.HEADER_TOO_LARGE
    assert flaw(b"no header\r\n" + field * 500, rules, portion=portion) is None
    assert flaw(b"\r\n" + field * 500, rules, portion=portion) is None


def test_an_inspection_holds_no_more_than_a_header() -> None:
    inspection = Inspection(replace(RULES, header_octets_max=20_000), limit=1_000_000)
    for _ in range(100):
        inspection.see(b"x" * 5000)
        assert len(inspection.header) <= 20_004

    assert inspection.objection is not None


def test_the_header_ends_behind_its_empty_line() -> None:
    for portion in (1, 3, 100):
        inspection = Inspection(RULES, limit=1000)
        message = b"From: a\r\nTo: b\r\n" + BODY
        for at in range(0, len(message), portion):
            inspection.see(message[at : at + portion])
        assert inspection.header == b"From: a\r\nTo: b\r\n\r\n"


def test_without_a_header_nothing_is_one() -> None:
    for sent in (b"\r\nFrom: a\r\nFrom: b\r\n\r\n", b"just words\r\nFrom: a\r\nFrom: b\r\n\r\n"):
        for portion in (1, 3, 100):
            assert flaw(sent, portion=portion) is None


def test_fields_are_counted_and_folded_lines_are_not() -> None:
    rules = replace(RULES, header_fields_max=100)

    assert flaw(b"X: y\r\n" * 100 + BODY, rules) is None
    assert flaw(b"X: y\r\n\tz\r\n" * 100 + BODY, rules) is None
    assert flaw(b"X: y\r\n" * 101 + BODY, rules) is replies.TOO_MANY_FIELDS


def test_hops_are_counted_in_the_header_alone() -> None:
    body = b"\r\n" + b"Received: x\r\n" * 80

    assert flaw(b"RECEIVED: x\r\n" * 50 + body) is None
    assert flaw(b"RECEIVED: x\r\n" * 51 + body) is replies.LOOPING
    assert flaw(b"Received : x\r\n" * 51 + body) is replies.LOOPING
    assert flaw(b"Received-SPF: x\r\n" * 51 + body) is None


@pytest.mark.parametrize("name", [b"From", b"from", b"FROM ", b"From\t"])
def test_a_second_from_field_is_refused(name: bytes) -> None:
    sent = b"From: a@b.test\r\nSubject: x\r\n" + name + b": c@d.test\r\n" + BODY

    assert flaw(sent) is replies.SEVERAL_FROM
    assert flaw(sent, replace(RULES, several_from="accept")) is None


def test_what_only_looks_like_a_second_from_field_is_taken() -> None:
    assert flaw(b"From: a@b.test\r\nFrom-Me: x\r\nX: y\r\n from: z\r\n\r\nFrom: c\r\n") is None


def test_a_header_of_8_bit_must_be_announced_where_that_is_asked_for() -> None:
    strict = replace(RULES, eight_bit_header="reject")
    sent = "Subject: Grüße\r\n\r\nbody\r\n".encode()

    assert flaw(sent) is None
    assert flaw(sent, strict) is replies.EIGHT_BIT_HEADER
    assert flaw(sent, strict, declared=True) is None
    assert flaw("Subject: x\r\n\r\nGrüße\r\n".encode(), strict) is None


def test_what_its_recipient_has_had_is_a_loop() -> None:
    def delivered_to(*who: bytes) -> bytes:
        return b"".join(b"Delivered-To: " + one + b"\r\n" for one in who) + BODY

    assert flaw(delivered_to(b"bert@example.test", b"<Anna@Example.test>")) is replies.HAD_IT
    assert flaw(delivered_to(b"bert@example.test")) is None
    assert flaw(delivered_to(b"anna@example.test"), replace(RULES, delivered_to="accept")) is None


def test_mail_for_somebody_who_has_not_had_it_is_no_loop() -> None:
    inspection = Inspection(RULES, limit=1000)
    inspection.see(b"Delivered-To: anna@example.test\r\n" + BODY)

    both = ["anna@example.test", "bert@example.test"]
    assert inspection.finish(recipients=both, declared=False) is None


def test_the_first_reason_is_the_one_that_is_told() -> None:
    assert flaw(b"From: a\r\nFrom: b\r\n\r\na\nb\0\r\n", portion=22) is replies.BARE_CR_OR_LF


def test_a_binary_body_is_judged_by_its_header_and_size_alone() -> None:
    inspection = Inspection(RULES, limit=100, is_binary=True)
    sent = b"From: a\r\nFrom: b\r\n\r\n\0\r\n\n\r" + b"x" * 50

    assert inspection.see(sent) == sent
    assert inspection.finish(recipients=[], declared=True) is replies.SEVERAL_FROM


def test_every_rule_is_a_setting_with_the_same_default() -> None:
    told = {name: HygieneSettings.model_fields[name].default for name in HYGIENE}

    assert Rules(**told) == RULES
    assert {field.name for field in fields(Rules)} == HYGIENE
