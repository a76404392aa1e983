"""Our fields on top, and the forged ones that go."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingress_smtp.commands import Rcpt
from ingress_smtp.stamps import (
    Arrival,
    authentication_results,
    missing_fields,
    received,
    separator,
    without_forged_results,
)
from posthouse.mail.encryption import Tls

HOST = "mx.example.test"
ID = UUID("01a2010c-6ae7-79a1-99fc-b5db4ca40671")
NOW = datetime(2026, 11, 22, 2, 18, 40, tzinfo=UTC)
PLAIN = Arrival(
    client="192.0.2.1", hello="b.test", extended=True, tls=None, auth="", is_submission=False,
    sender="e@far.test", recipients=(Rcpt("anna@example.test"),), body="7BIT", smtputf8=False,
)  # fmt: skip
SAFE = replace(PLAIN, tls=Tls("TLSv1.3", "AES"), auth="anna@example.test", client="2001:db8::1")


def test_received_tells_the_way() -> None:
    assert received(PLAIN, hostname=HOST, ident=ID, now=NOW) == (
        b"Received: from b.test ([192.0.2.1])\r\n"
        b"\tby mx.example.test with ESMTP id 01a2010c-6ae7-79a1-99fc-b5db4ca40671\r\n"
        b"\tfor <anna@example.test>;\r\n"
        b"\tSun, 22 Nov 2026 02:18:40 +0000\r\n"
    )


def test_received_tells_of_tls_and_hides_several_recipients() -> None:
    field = received(
        replace(SAFE, recipients=(Rcpt("a@b.test"), Rcpt("c@d.test"))),
        hostname=HOST,
        ident=ID,
        now=NOW,
    )

    assert b"from b.test ([IPv6:2001:db8::1])\r\n\t(using TLSv1.3 with cipher AES)\r\n" in field
    assert b"with ESMTPSA id" in field
    assert b"for <" not in field


@pytest.mark.parametrize(
    ("arrival", "name"),
    [
        (replace(PLAIN, extended=False), "SMTP"),
        (PLAIN, "ESMTP"),
        (replace(PLAIN, tls=Tls("TLSv1.3", "AES")), "ESMTPS"),
        (SAFE, "ESMTPSA"),
        (replace(SAFE, smtputf8=True), "UTF8SMTPSA"),
    ],
)
def test_the_protocol_has_its_registered_name(arrival: Arrival, name: str) -> None:
    assert arrival.protocol == name


@pytest.mark.parametrize("hello", ["x);evil", "a b", "(", "<x@y>"])
def test_a_strange_name_does_not_get_into_the_field(hello: str) -> None:
    field = received(replace(PLAIN, hello=hello), hostname=HOST, ident=ID, now=NOW)

    assert field.startswith(b"Received: from unknown ([192.0.2.1])\r\n")


def test_results_tell_who_authenticated() -> None:
    assert authentication_results(PLAIN, hostname=HOST).endswith(b"test; none\r\n")
    assert b"auth=pass smtp.auth=anna@example.test" in authentication_results(SAFE, hostname=HOST)


@pytest.mark.parametrize(
    ("account", "value"),
    [
        ("o'brien+x.y@example.test", "o'brien+x.y@example.test"),
        ("jörg@exämple.test", "jörg@exämple.test"),
        ("a; spf=pass@example.test", '"a; spf=pass"@example.test'),
        ("a (b@example.test", '"a (b"@example.test'),
        ('a"b\\c@example.test', r'"a\"b\\c"@example.test'),
        ("a@b@example.test", '"a@b"@example.test'),
        ("a..b@example.test", '"a..b"@example.test'),
        ("@example.test", "@example.test"),
        ("a\r\nX: y\x85@example.test", '"a??X: y?@example.test"'),
        ("a@[192.0.2.1]", '"a@[192.0.2.1]"'),
        ("a@b.test; spf=pass", '"a@b.test; spf=pass"'),
        ("anna", "anna"),
        ("a\u2028b@example.test", '"a\u2028b@example.test"'),
    ],
)
def test_an_unusual_account_is_quoted_in_the_results(account: str, value: str) -> None:
    field = authentication_results(replace(SAFE, auth=account), hostname=HOST).decode()

    assert field == f"Authentication-Results: {HOST};\r\n\tauth=pass smtp.auth={value}\r\n"


@given(st.text('ab.@ ;()"\\\r\n\u2028é', min_size=1, max_size=40) | st.text(min_size=1))
def test_no_account_says_more_in_the_results_than_its_name(account: str) -> None:
    octets = authentication_results(replace(SAFE, auth=account), hostname=HOST)

    head, value = octets.decode().removesuffix("\r\n").split("smtp.auth=", 1)
    assert head == f"Authentication-Results: {HOST};\r\n\tauth=pass "
    bare = re.sub(r'"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*"', "quoted", value)
    assert not re.search(r'[\s;()"\\]', bare)


@pytest.mark.parametrize(
    "forged",
    [
        b"Authentication-Results: mx.example.test; spf=pass\r\n",
        b"AUTHENTICATION-RESULTS: MX.EXAMPLE.TEST 1;\r\n\tspf=pass;\r\n dkim=pass\r\n",
        b'Authentication-Results: (c (d) ) "mx.example.test" ; none\r\n',
        b"Authentication-Results:\r\n mx.example.test; none\r\n",
        b"Authentication-Results:mx.example.test\r\n",
        b"Authentication-Results: (a\\)b) mx.example.test; dkim=pass\r\n",
        b'Authentication-Results: "mx\\.example.test"; dkim=pass\r\n',
        b"Authentication-Results: (((((deep))))) mx.example.test; dkim=pass\r\n",
    ],
)
def test_forged_results_go_and_nothing_else_does(forged: bytes) -> None:
    before, after = b"Subject: a\r\n", b"Authentication-Results: other.test; none\r\n\r\n" + forged

    assert without_forged_results(before + forged + after, hostname=HOST) == before + after


@pytest.mark.parametrize("half", [b"(" * 900, b"()" * 450, b"(\\" * 450])
def test_comments_in_comments_hold_nobody_up(half: bytes) -> None:
    folded = b"Authentication-Results: " + b"\r\n ".join([half] * 250 + [b")" * 900] * 250)

    began = time.process_time()
    without_forged_results(folded + b" mx.example.test; none\r\n\r\n", hostname=HOST)

    assert time.process_time() - began < 2  # it would be minutes


def test_what_is_missing_is_added_and_what_is_there_is_kept() -> None:
    both = missing_fields(b"Subject: a\r\n\r\n", hostname=HOST, ident=ID, now=NOW)
    assert both == (
        b"Date: Sun, 22 Nov 2026 02:18:40 +0000\r\n"
        b"Message-ID: <01a2010c-6ae7-79a1-99fc-b5db4ca40671@mx.example.test>\r\n"
    )

    complete = b"date: x\r\nMESSAGE-ID: <y>\r\n\r\n"
    assert missing_fields(complete, hostname=HOST, ident=ID, now=NOW) == b""


@pytest.mark.parametrize("content", [b" ; spf=pass\r\n\r\nx", b"\tx\r\n", b"hello\r\n"])
def test_what_has_no_header_is_kept_apart_from_our_fields(content: bytes) -> None:
    assert separator(content) == b"\r\n"
    assert b"Message-ID:" in missing_fields(content, hostname=HOST, ident=ID, now=NOW)


@pytest.mark.parametrize(
    "content", [b"Subject: a\r\n\r\nb", b"\r\nb", b"From e@far.test Mon\r\nA: b"]
)
def test_a_header_follows_our_fields_at_once(content: bytes) -> None:
    assert separator(content) == b""
