"""The table of states: what a command may do, and what is forgotten when."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from ingress_smtp import replies, transaction
from ingress_smtp.commands import Data, Mail, Rcpt, parse
from ingress_smtp.parameters import MailParameters
from ingress_smtp.steps import Judge, Say, State, TakeAuth, TakeData, TakeTls
from ingress_smtp.terms import Terms
from ingress_smtp.transaction import decide

TERMS = Terms(
    hostname="mx.example.test", role="mx", tls=True, message_octets_max=1000, recipients_max=2
)
GREETED = State(terms=TERMS, hello="b.test", extended=True)
OPEN = replace(GREETED, mail=Mail("a@b.test", MailParameters()))
ADDRESSED = replace(OPEN, recipients=(Rcpt("anna@example.test"),))
SUBMISSION = replace(GREETED, terms=dataclasses.replace(TERMS, role="submission"))


def reply(state: State, line: bytes) -> str:
    step = decide(state, parse(line))
    return str(step.reply) if isinstance(step, Say) else type(step).__name__


@pytest.mark.parametrize(
    ("state", "line", "answer"),
    [
        (State(terms=TERMS), b"MAIL FROM:<>", "503 5.5.1"),
        (GREETED, b"MAIL FROM:<>", "Judge"),
        (GREETED, b"RCPT TO:<a@b.test>", "503 5.5.1"),
        (OPEN, b"MAIL FROM:<>", "503 5.5.1"),
        (OPEN, b"RCPT TO:<a@b.test>", "Judge"),
        (OPEN, b"DATA", "503 5.5.1"),
        (ADDRESSED, b"DATA", "TakeData"),
        (ADDRESSED, b"STARTTLS", "503 5.5.1"),
        (GREETED, b"STARTTLS", "TakeTls"),
        (GREETED, b"AUTH PLAIN", "502 5.5.1"),
        (SUBMISSION, b"AUTH PLAIN", "538 5.7.11"),
        (SUBMISSION, b"MAIL FROM:<>", "530 5.7.0 Must issue"),
        (replace(SUBMISSION, secure=True), b"MAIL FROM:<>", "530 5.7.0 Authentication"),
        (replace(SUBMISSION, secure=True, mechanisms=("PLAIN",)), b"AUTH PLAIN", "TakeAuth"),
        (replace(SUBMISSION, secure=True, extended=False), b"AUTH PLAIN", "503 5.5.1"),
        (
            replace(SUBMISSION, secure=True, mechanisms=("PLAIN",), auth="a@b.test"),
            b"AUTH PLAIN",
            "503 5.5.1",
        ),
        (replace(SUBMISSION, secure=True, auth="a@b.test"), b"MAIL FROM:<>", "Judge"),
    ],
)
def test_a_command_does_what_the_state_allows(state: State, line: bytes, answer: str) -> None:
    assert reply(state, line).startswith(answer)


def test_every_step_is_one_of_the_five() -> None:
    for line in (b"NOOP", b"MAIL FROM:<>", b"STARTTLS"):
        assert isinstance(decide(GREETED, parse(line)), Say | Judge | TakeData | TakeTls | TakeAuth)


def test_a_judged_recipient_is_added_only_in_the_next_state() -> None:
    step = decide(OPEN, Rcpt("anna@example.test"))

    assert isinstance(step, Judge)
    assert step.state.recipients == (Rcpt("anna@example.test"),)
    assert OPEN.recipients == ()


def test_postmaster_alone_gets_our_domain() -> None:
    step = decide(OPEN, parse(b"RCPT TO:<PostMaster>"))

    assert isinstance(step, Judge)
    assert step.command == Rcpt("postmaster@mx.example.test")


def test_one_recipient_too_many_waits() -> None:
    full = replace(OPEN, recipients=(Rcpt("a@b.test"), Rcpt("c@d.test")))

    assert decide(full, Rcpt("e@f.test")) == Say(replies.TOO_MANY_RECIPIENTS, full)


def test_hello_ends_the_transaction_and_tls_ends_all_knowledge() -> None:
    step = decide(ADDRESSED, parse(b"EHLO c.test"))
    assert isinstance(step, Say)
    assert (step.state.mail, step.state.recipients, step.state.hello) == (None, (), "c.test")

    known = replace(ADDRESSED, auth="anna@example.test")
    assert transaction.encrypted(known) == State(terms=TERMS, secure=True)


def test_data_needs_a_recipient_that_was_accepted() -> None:
    assert decide(OPEN, Data()) == Say(replies.RECIPIENT_FIRST, OPEN)


@pytest.mark.parametrize("extended", [True, False])
def test_every_reply_but_those_to_hello_has_an_enhanced_code(*, extended: bool) -> None:
    constants = [value for value in vars(replies).values() if isinstance(value, replies.Reply)]
    assert len(constants) > 40
    for constant in constants:
        code, _, rest = str(constant).partition(" ")
        if code.startswith("3"):
            continue
        enhanced = rest.split()[0].split(".")
        assert enhanced[0] == code[0] or constant is replies.OK_TLS
        assert len(enhanced) == 3
        assert constant.closes or code not in {"421", "221", "521"}
    hello = decide(GREETED, parse(b"EHLO x" if extended else b"HELO x"))
    assert isinstance(hello, Say)
