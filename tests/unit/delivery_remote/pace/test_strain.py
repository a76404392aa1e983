"""What a server says of itself when it has too much, and what concerns one mail alone."""

from __future__ import annotations

import pytest

from delivery_remote.pace.strain import strain_in, strain_of
from delivery_remote.transcript import Lost, Refusal, Reply, Stage, Transcript

YES = Reply(250)


def _reply(text: str) -> Reply:
    return Reply(int(text[:3]), text[4:])


@pytest.mark.parametrize(
    "said",
    [
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
        "421 too busy",
        "450 4.3.2 try again later",
        "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation",
        "452 4.3.1 Insufficient system storage",
        "450 slow down",
    ],
)
def test_not_now_to_mail_is_said_of_the_site(said: str) -> None:
    assert strain_in(Transcript(mail=_reply(said))) == said


@pytest.mark.parametrize(
    "said",
    [
        "450 4.1.8 Sender address rejected: Domain not found",
        "451 4.7.24 SPF validation failed temporarily",
        "550 5.7.1 we do not like you",
        "250 ok",
    ],
)
def test_what_is_said_of_the_sender_is_not(said: str) -> None:
    assert strain_in(Transcript(mail=_reply(said))) == ""


@pytest.mark.parametrize(
    "said", ["450 4.2.0 greylisted", "451 4.7.1 try again in 5 minutes", "452 4.2.2 mailbox full"]
)
def test_greylisting_and_full_mailboxes_concern_their_recipients_alone(said: str) -> None:
    assert strain_in(Transcript(mail=YES, recipients=(_reply(said),))) == ""


@pytest.mark.parametrize(
    "said", ["421 closing", "451 4.4.5 congested", "421 4.7.28 unusual rate", "450 4.7.28 rate"]
)
def test_a_word_of_the_system_counts_wherever_it_is_said(said: str) -> None:
    assert strain_in(Transcript(mail=YES, recipients=(_reply(said),))) == said
    assert (
        strain_in(Transcript(mail=YES, recipients=(YES,), data=Reply(354), end=_reply(said)))
        == said
    )


def test_a_connection_that_breaks_counts_before_anything_was_said_to_mail() -> None:
    assert strain_in(Transcript(mail=Lost("the connection was closed")))
    assert not strain_in(Transcript(mail=YES, recipients=(Lost("closed"),)))


@pytest.mark.parametrize(
    ("stage", "answer", "counts"),
    [
        (Stage.GREETING, Reply(421, "4.3.2 too many connections"), True),
        (Stage.GREETING, Reply(450, "busy"), True),
        (Stage.HELLO, Reply(421, "busy"), True),
        (Stage.GREETING, Reply(554, "no service"), False),
        (Stage.TLS, Reply(454, "no TLS now"), False),
        (Stage.CONNECT, Lost("Connection refused"), False),
        (Stage.GREETING, Lost("closed"), False),
    ],
)
def test_a_server_that_lets_nobody_in_is_busy_if_it_says_so(
    stage: Stage, answer: Reply | Lost, *, counts: bool
) -> None:
    assert bool(strain_of([Refusal(stage, answer)])) is counts
