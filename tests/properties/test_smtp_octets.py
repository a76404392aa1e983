"""Laws of the SMTP grammar: any octets are read or refused, in any portions, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from ingress_smtp.commands import Command, Mail, parse
from ingress_smtp.framing import BadLine, Dots, take_line
from ingress_smtp.hygiene import Inspection, Rules
from ingress_smtp.parameters import BadParameters, mail_parameters, rcpt_parameters
from ingress_smtp.stamps import without_forged_results
from ingress_smtp.steps import State
from ingress_smtp.terms import Terms
from ingress_smtp.transaction import decide
from posthouse.mail.address import is_local_part, parse_address
from posthouse.mail.handling import CONDITIONS

PIECES = st.sampled_from(
    [b"\r\n", b".", b"\r", b"\n", b"..", b"x", b"\r\n.\r\n", b".\r\n", b"\0", b"y" * 50]
)
OCTETS = st.lists(PIECES, max_size=30).map(b"".join)
VERBS = st.sampled_from([b"MAIL FROM:<", b"RCPT TO:<", b"EHLO ", b"AUTH ", b"DATA", b"VRFY ", b""])
TERMS = Terms(
    hostname="mx.example.test", role="mx", tls=True, message_octets_max=1000, recipients_max=2
)


@given(verb=VERBS, rest=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
def test_any_line_is_a_command_or_has_a_reply(verb: bytes, rest: bytes) -> None:
    command = parse(verb + rest)

    assert isinstance(command, get_args(Command))
    assert decide(State(terms=TERMS), command) is not None
    if isinstance(command, Mail) and command.sender:  # a domain may be left to us to complete
        sender = command.sender
        assert is_local_part(sender) or str(parse_address(sender)) == sender


@given(st.text(max_size=80))
def test_any_parameters_are_read_or_refused(text: str) -> None:
    try:
        found = mail_parameters(text)
    except BadParameters:
        return
    assert found.size >= 0
    flagged = found.smtputf8 or found.handling.requiretls
    assert "=" in text or not text.strip() or flagged


@given(st.text(max_size=80), st.sampled_from(["", "NOTIFY=", "ORCPT=rfc822;", "ORCPT=utf-8;"]))
def test_any_wish_is_read_or_refused_and_forges_nothing(text: str, name: str) -> None:
    try:
        found = rcpt_parameters(name + text)
    except BadParameters:
        return
    assert not set("\r\n\0 ") & set(found.orcpt)
    assert found.on in {"", "NEVER"} or set(found.on.split(",")) <= set(CONDITIONS)


@given(OCTETS)
def test_lines_never_contain_line_ends(octets: bytes) -> None:
    buffer = bytearray(octets)
    for _ in range(len(octets) + 1):
        try:
            line = take_line(buffer, 100)
        except BadLine:
            continue
        if line is None:
            break
        assert not set(line) & set(b"\r\n\0")


def stuffed(message: bytes) -> bytes:
    """Double the dots at line beginnings (RFC 5321 §4.5.2)."""
    doubled = message.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled


def received(octets: bytes, cuts: list[int]) -> tuple[bytes, int | None]:
    """Return the content of ``octets`` that come in portions, and how many stand behind its end."""
    dots, content = Dots(), b""
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        part, behind = dots.feed(octets[start:end])
        content += part
        if behind is not None:
            return content, behind + len(octets) - end
    return content, None


@given(lines=st.lists(st.binary(max_size=20).map(lambda o: o.replace(b"\r", b"").replace(b"\n", b""))),
       rest=OCTETS, cuts=st.lists(st.integers(0, 10_000), max_size=10))  # fmt: skip
def test_what_a_client_stuffs_comes_out_however_it_is_cut(
    lines: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    message = b"".join(line + b"\r\n" for line in lines)

    content, behind = received(stuffed(message) + b".\r\n" + rest, cuts)

    assert behind == len(rest)
    assert content == message


@given(octets=OCTETS, cuts=st.lists(st.integers(0, 10_000), max_size=10))
def test_only_crlf_dot_crlf_ends_a_message(octets: bytes, cuts: list[int]) -> None:
    whole = b"\r\n" + octets  # a dot on the first line counts as well
    at = whole.find(b"\r\n.\r\n")

    _, behind = received(octets, cuts)

    assert behind == (None if at < 0 else len(whole) - at - 5)


def inspected(octets: bytes, cuts: list[int], rules: Rules) -> tuple[bytes, bool]:
    """Return what is kept of ``octets`` that come in portions, and whether they are taken."""
    inspection = Inspection(rules, limit=100_000)
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    kept = b"".join(inspection.see(octets[start:end]) for start, end in pairwise(places))
    kept += inspection.rest()
    return kept, inspection.finish(recipients=["a@b.test"], declared=False) is None


@given(octets=OCTETS, cuts=st.lists(st.integers(0, 10_000), max_size=10))
def test_what_is_taken_has_no_bare_line_end_and_is_kept_as_it_came(
    octets: bytes, cuts: list[int]
) -> None:
    kept, is_taken = inspected(octets, cuts, Rules())

    assert kept == octets
    assert is_taken == (not set(octets.replace(b"\r\n", b"")) & set(b"\r\n\0"))


@given(octets=OCTETS, cuts=st.lists(st.integers(0, 10_000), max_size=10))
def test_what_was_mended_has_nothing_left_to_mend_however_it_is_cut(
    octets: bytes, cuts: list[int]
) -> None:
    mending = Rules(bare_line_ends="normalise", nul_octets="remove")

    kept, is_taken = inspected(octets, cuts, mending)

    assert is_taken
    assert kept == inspected(octets, [], mending)[0]
    assert inspected(kept, [], Rules()) == (kept, True)


@given(st.binary(max_size=200))
def test_a_message_that_does_not_lie_is_not_changed(octets: bytes) -> None:
    if b"mx.example.test" not in octets.lower():
        assert without_forged_results(octets, hostname="mx.example.test") == octets
