"""Authentication-Results, read by the authres library."""

from __future__ import annotations

import authres
import pytest

from posthouse.authenticity.results import Result, pvalue, results_field, results_value

SPF = Result(method="spf", result="pass", properties=(("smtp.mailfrom", "a@a.test"),))
DKIM = Result(
    method="dkim",
    result="fail",
    reason='the "body" was\r\nchanged; dmarc=pass',
    properties=(("header.d", "a.test"), ("header.s", "s1"), ("header.b", "aB+/c1==")),
)


def test_nothing_checked_is_none() -> None:  # RFC 8601 §2.2
    assert results_field("mx.test", []) == b"Authentication-Results: mx.test; none\r\n"


def test_others_read_what_we_write() -> None:
    field = results_field("mx.test", [SPF, DKIM])

    read = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n\t", " ").strip())

    assert read.authserv_id == "mx.test"
    spf, dkim = read.results
    assert (spf.method, spf.result, spf.smtp_mailfrom) == ("spf", "pass", "a@a.test")
    assert (dkim.method, dkim.result, dkim.header_d) == ("dkim", "fail", "a.test")
    assert dkim.reason.replace("\\", "") == 'the "body" was??changed; dmarc=pass'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.test", "a.test"),
        ("anna@a.test", "anna@a.test"),
        ("@a.test", "@a.test"),
        ('a;dmarc=pass "x"@a.test', '"a;dmarc=pass \\"x\\""@a.test'),
        ("a b", '"a b"'),
        ("a\r\nX: y", '"a??X: y"'),
        ("a/b", '"a/b"'),
    ],
)
def test_values_cannot_break_out(text: str, value: str) -> None:
    assert pvalue(text) == value


def test_a_property_without_a_value_is_left_out() -> None:
    assert results_value("h", [Result(method="spf", result="none", properties=(("x.y", ""),))]) == (
        "h;\r\n\tspf=none"
    )
