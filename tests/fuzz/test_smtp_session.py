"""Any octets, in any portions, into a whole SMTP session: it answers in the grammar and lives.

`make check` tries some, `make fuzz` for minutes. What was found stays here as an example.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from support.fuzzing import NEIGHBOUR, PERSON, PERSON_SECURE, PLAIN, STRANGER, Ear, Role, judge

LOG_IN = b"AUTH PLAIN " + base64.b64encode(b"\0anna@example.test\0secret") + b"\r\n"
LOGIN_NAMES = b"AUTH LOGIN\r\n" + base64.b64encode(b"anna@example.test") + b"\r\n"
MAIL = b"MAIL FROM:<anna@example.test>\r\n"
RCPT = b"RCPT TO:<bert@example.test>\r\n"
LETTER = b"From: a@b.test\r\nTo: bert@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"
WHOLE = b"EHLO b.test\r\n" + MAIL + RCPT + b"DATA\r\n" + LETTER + b".\r\n"

ADDRESSES = st.sampled_from(
    [b"<>", b"<anna@example.test>", b"<bert@example.test>", b"<postmaster>", b"<nobody@far.test>",
     b"<@a.test,@b.test:bert@example.test>", b"<bert%far.test@example.test>", b'<"a b"@example.test>',
     b"<far.test!bert@example.test>", "<grüße@example.test>".encode(), b"<bert@[192.0.2.1]>",
     b"<bert@example.test.>", b'<"bert@far.test"@example.test>', b"<" + b"x" * 300 + b"@b.test>"]
)  # fmt: skip
PARAMETERS = st.lists(
    st.sampled_from(
        [b" SIZE=100", b" SIZE=999999999", b" SIZE=x", b" BODY=8BITMIME", b" BODY=7BIT",
         b" BODY=BINARYMIME", b" SMTPUTF8", b" RET=HDRS", b" RET=FULL", b" ENVID=a+20b", b" AUTH=<>",
         b" AUTH=a+40b", b" NOTIFY=NEVER", b" NOTIFY=SUCCESS,DELAY", b" ORCPT=rfc822;a+40b.test",
         b" REQUIRETLS", b" HOLDFOR=60", b" BY=60;R", b" X=Y", b" ", b" =", b" SIZE=1 SIZE=2"]
    ),
    max_size=3,
).map(b"".join)  # fmt: skip
ENVELOPES = st.builds(
    lambda verb, address, parameters: verb + address + parameters + b"\r\n",
    st.sampled_from([b"MAIL FROM:", b"RCPT TO:", b"mail from: ", b"RCPT TO", b"VRFY ", b"EXPN "]),
    ADDRESSES,
    PARAMETERS,
)
CHUNKS = st.builds(
    lambda octets, more, last: b"BDAT %d%s\r\n" % (len(octets) + more, last) + octets,
    st.binary(max_size=60) | st.just(LETTER),
    st.sampled_from([0, 0, 0, 0, 1, 7]),
    st.sampled_from([b"", b" LAST", b" last", b" X"]),
)
LINES = st.sampled_from(
    [b"EHLO b.test\r\n", b"HELO b.test\r\n", b"LHLO b.test\r\n", b"EHLO [192.0.2.7]\r\n",
     b"DATA\r\n", b"RSET\r\n", b"NOOP\r\n", b"NOOP x\r\n", b"QUIT\r\n", b"HELP\r\n", b"STARTTLS\r\n",
     b"AUTH\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AUTH EXTERNAL =\r\n", b"AUTH XOAUTH2 e30=\r\n",
     b"AUTH SCRAM-SHA-256 biwsbj1hbm5hLHI9eA==\r\n", b"AUTH CRAM-MD5\r\n", b"*\r\n", b"=\r\n",
     b"e30=\r\n", b"ETRN example.test\r\n", b"XCLIENT ADDR=192.0.2.9 NAME=x\r\n", b"GET / HTTP/1.1\r\n",
     b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"BDAT\r\n", b"BDAT 18446744073709551616 LAST\r\n",
     b"NOOP\n", b"NOOP\r", b"\r\n", b"\0\r\n", b"x" * 2100 + b"\r\n", b".\r\n", b"\r\n.\r\n",
     b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", MAIL, RCPT, LOG_IN, LOGIN_NAMES, LETTER, WHOLE]
)  # fmt: skip
DATA = st.builds(
    lambda octets, end: b"DATA\r\n" + octets + end,
    st.just(LETTER) | st.just(b"X: y\r\n" * 20 + LETTER) | st.binary(max_size=60),
    st.sampled_from([b".\r\n", b"\r\n.\r\n", b".\r\n", b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b""]),
)
TRANSACTIONS = st.builds(
    lambda parameters, recipient, content: (
        b"MAIL FROM:<anna@example.test>" + parameters + b"\r\n" + recipient + content
    ),
    st.just(b"") | PARAMETERS,
    st.just(RCPT) | ENVELOPES,
    DATA | CHUNKS,
)
TALK = st.lists(
    TRANSACTIONS | LINES | ENVELOPES | TRANSACTIONS | CHUNKS | st.binary(max_size=20),
    min_size=1,
    max_size=15,
).map(b"".join)
BEGINNINGS = st.sampled_from(
    [b"EHLO b.test\r\n", b"LHLO b.test\r\n", b"EHLO b.test\r\n" + LOG_IN, b"EHLO b.test\r\nSTARTTLS\r\n", b"",
     b"EHLO b.test\r\n" + MAIL + RCPT, b"EHLO b.test\r\n" + MAIL + RCPT + b"DATA\r\n"]
)  # fmt: skip
CUTS = st.lists(st.integers(0, 10_000), max_size=8)
# Octets written over what was made above: place, and what then stands there.
BLOTS: st.SearchStrategy[list[tuple[int, bytes]]] = st.just([]) | st.lists(
    st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=3)), max_size=3
)
ROLES = st.sampled_from([PLAIN, STRANGER, PERSON, PERSON_SECURE, PERSON_SECURE, NEIGHBOUR])


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


def blotted(octets: bytes, blots: list[tuple[int, bytes]]) -> bytes:
    paper = bytearray(octets)
    for place, blot in blots:
        at = place % (len(paper) + 1)
        paper[at : at + len(blot)] = blot
    return bytes(paper)


def portions(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    return [octets[start:end] for start, end in pairwise(places)]


@given(role=ROLES, beginning=BEGINNINGS, talk=TALK, blots=BLOTS, cuts=CUTS)
@example(role=PLAIN, beginning=b"", talk=WHOLE + WHOLE, blots=[], cuts=[])
@example(role=PLAIN, beginning=WHOLE[:-3], talk=b"\n.\r\nMAIL FROM:<>\r\n", blots=[], cuts=[9])
def test_any_octets_are_answered_in_the_grammar(
    ear: Ear, role: Role, beginning: bytes, talk: bytes,
    blots: list[tuple[int, bytes]], cuts: list[int],
) -> None:  # fmt: skip
    octets = blotted(beginning + talk, blots)

    heard = ear.hear(portions(octets, cuts), role)

    event(f"{role.terms.role}: {len(heard.cellar.mails)} accepted")
    judge(heard)


# One threshold for both: what goes to the spool is judged by its header, so a refusal comes earlier.
@given(
    role=ROLES, beginning=BEGINNINGS, talk=TALK, cuts=CUTS, threshold=st.sampled_from([100, 10_000])
)
def test_how_octets_are_cut_changes_nothing(
    ear: Ear, role: Role, beginning: bytes, talk: bytes, cuts: list[int], threshold: int
) -> None:  # fmt: skip
    octets = beginning + talk
    assume(b"STARTTLS" not in octets.upper())  # RFC 3207 §4: what comes with it is no command

    whole = ear.hear([octets], role, threshold=threshold)
    cut = ear.hear(portions(octets, cuts), role, threshold=threshold)

    assert whole.codes == cut.codes
    assert [m.recipients for m in whole.cellar.mails] == [m.recipients for m in cut.cellar.mails]


BODIES = st.lists(
    st.sampled_from([b"", b".", b"..", b".x", b"Hello.", b"x" * 500, b"QUIT", b"MAIL FROM:<>"]),
    max_size=12,
).map(lambda lines: b"X: y\r\n\r\n" + b"".join(line + b"\r\n" for line in lines))


def stuffed(letter: bytes) -> bytes:
    return letter.replace(b"\r\n.", b"\r\n..")


@given(letters=st.lists(BODIES, min_size=1, max_size=4), threshold=st.integers(64, 4096), cuts=CUTS)
def test_what_a_client_sends_in_good_order_is_kept_as_it_is(
    ear: Ear, letters: list[bytes], threshold: int, cuts: list[int]
) -> None:
    talk = b"".join(MAIL + RCPT + b"DATA\r\n" + stuffed(letter) + b".\r\n" for letter in letters)
    octets = b"EHLO b.test\r\n" + talk.replace(b"anna@example.test", b"") + b"QUIT\r\n"

    heard = ear.hear(portions(octets, cuts), PLAIN, threshold=threshold)

    judge(heard)
    kept = [heard.cellar.objects[mail.envelope.blob] for mail in heard.cellar.mails]
    assert [octets.partition(b"; none\r\n")[2] for octets in kept] == letters
    assert heard.codes[-1] == b"221"
