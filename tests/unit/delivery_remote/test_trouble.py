"""Replies as servers of the world give them, and what becomes of the recipients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage, Transcript
from delivery_remote.trouble import (
    Later,
    Never,
    Taken,
    judge,
    judge_refusal,
    status_of,
    summed_up,
)

OK = Reply(250, "2.0.0 ok")
GO = Reply(354, "go ahead")
GONE = Lost("the connection was closed")


def _sent(end: Answer, *recipients: Answer) -> Transcript:
    return Transcript(mail=OK, recipients=recipients or (OK,), data=GO, end=end)


# Where it was said, the reply word for word, what it means, the enhanced code we keep.
GOLDEN = [
    # Gmail
    (
        Stage.RCPT,
        ("550 5.1.1 The email account that you tried to reach does not exist. Please try\n"
        "5.1.1 double-checking the recipient's email address for typos or\n"
        "5.1.1 unnecessary spaces.  https://support.google.com/mail/?p=NoSuchUser - gsmtp"),
        Never, "5.1.1",
    ),
    (
        Stage.RCPT,
        ("450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n"
        "4.2.1 prevents additional messages from being delivered. - gsmtp"),
        Later, "4.2.1",
    ),
    (
        Stage.RCPT,
        "452 4.2.2 The recipient's inbox is out of storage space. - gsmtp",
        Later, "4.2.2",
    ),
    (
        Stage.DOT,
        "421 4.7.0 Our system has detected an unusual rate of unsolicited mail. - gsmtp",
        Later, "4.7.0",
    ),
    (
        Stage.DOT,
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated. - gsmtp",
        Never, "5.7.26",
    ),
    # Exchange Online
    (
        Stage.RCPT,
        "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR02FT012.eop]",
        Never, "5.4.1",
    ),
    (
        Stage.MAIL,
        "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77714)",
        Later, "4.7.500",
    ),
    (
        Stage.RCPT,
        "550 5.7.606 Access denied, banned sending IP [192.0.2.1].",
        Never, "5.7.606",
    ),
    (
        Stage.DOT,
        "554 5.4.14 Hop count exceeded - possible mail loop ATTR34",
        Never, "5.4.14",
    ),
    # Yahoo
    (
        Stage.MAIL,
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
        Later, "4.7.0",
    ),
    (Stage.RCPT, "552 1 Requested mail action aborted, mailbox not found", Later, "4.1.0"),
    (Stage.DOT, "554 delivery error: dd This user doesn't have a yahoo.com account", Never, "5.0.0"),
    # Postfix, Exim, qmail, Sendmail, GMX
    (
        Stage.RCPT,
        "450 4.2.0 <bert@b.test>: Recipient address rejected: Greylisted, see http://x/",
        Later, "4.2.0",
    ),
    (Stage.RCPT, "452 4.5.3 Error: too many recipients", Later, "4.5.3"),
    (Stage.RCPT, "552 too many recipients", Later, "4.1.0"),
    (Stage.RCPT, "552 5.2.2 mailbox full", Never, "5.2.2"),
    (Stage.RCPT, "550 Unrouteable address", Never, "5.1.0"),
    (Stage.RCPT, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Never, "5.7.1"),
    (Stage.MAIL, "553 5.1.8 <x@nowhere>... Domain of sender address x@nowhere does not exist", Never, "5.1.8"),
    (Stage.DATA, "451 4.3.0 Temporary lookup failure", Later, "4.3.0"),
    (Stage.DATA, "503 5.5.1 Error: need RCPT command", Never, "5.5.1"),
    (Stage.DOT, "552 5.3.4 Message size exceeds fixed limit", Never, "5.3.4"),
    (Stage.DOT, "452 4.3.1 Insufficient system storage", Later, "4.3.1"),
    (Stage.DOT, "550-Requested action not taken: mailbox unavailable", Never, "5.0.0"),
    # Wrong or strange
    (Stage.RCPT, "550 4.2.1 the class does not fit the code", Never, "5.1.0"),
    (Stage.RCPT, "450 5.1.1 the class does not fit the code", Later, "4.1.0"),
    (Stage.RCPT, "354 what a strange answer", Later, "4.1.0"),
    (Stage.MAIL, "0 nothing", Later, "4.0.0"),
]  # fmt: skip


def _reply(text: str) -> Reply:
    code, _, rest = text.replace("-", " ", 1).partition(" ")
    return Reply(int(code), rest)


def _at(stage: Stage, reply: Reply) -> Transcript:
    match stage:
        case Stage.MAIL:
            return Transcript(mail=reply, recipients=(GONE,))
        case Stage.RCPT:
            return Transcript(mail=OK, recipients=(reply,))
        case Stage.DATA:
            return Transcript(mail=OK, recipients=(OK,), data=reply)
        case _:
            return _sent(reply)


@pytest.mark.parametrize(("stage", "text", "meaning", "enhanced"), GOLDEN)
def test_replies_of_the_world(
    stage: Stage, text: str, meaning: type[Never | Later], enhanced: str
) -> None:
    reply = _reply(text)

    (verdict,) = judge(_at(stage, reply), 1)

    assert isinstance(verdict, meaning)
    assert verdict.status.dotted == enhanced
    assert verdict.reply == str(reply)
    assert verdict.status.is_permanent is (meaning is Never)


def test_a_yes_to_the_dot_is_responsibility_taken() -> None:
    assert judge(_sent(Reply(250, "2.0.0 queued as 42")), 1) == (Taken("250 2.0.0 queued as 42"),)


def test_each_recipient_gets_its_own_verdict() -> None:
    unknown = Reply(550, "5.1.1 unknown")
    full = Reply(452, "4.2.2 full")

    verdicts = judge(_sent(OK, OK, unknown, full, OK), 4)

    assert [type(each) for each in verdicts] == [Taken, Never, Later, Taken]


def test_a_refused_message_is_refused_for_those_that_rcpt_accepted_only() -> None:
    verdicts = judge(_sent(Reply(554, "5.7.1 spam"), OK, Reply(450, "4.2.0 greylisted")), 2)

    assert [type(each) for each in verdicts] == [Never, Later]


def test_a_no_to_mail_concerns_everybody() -> None:
    verdicts = judge(Transcript(mail=Reply(550, "5.7.1 no"), recipients=(OK, OK)), 2)

    assert [type(each) for each in verdicts] == [Never, Never]


def test_silence_after_the_dot_waits_and_asks_nobody_else() -> None:
    (verdict,) = judge(_sent(GONE), 1)

    assert isinstance(verdict, Later)
    assert not verdict.elsewhere
    assert verdict.status.dotted == "4.4.2"
    assert "after the end of the message" in verdict.reply


@pytest.mark.parametrize(
    "transcript",
    [
        Transcript(mail=GONE),
        Transcript(mail=OK, recipients=(GONE,)),
        Transcript(mail=OK, recipients=()),
        Transcript(mail=OK, recipients=(OK,), data=GONE),
        Transcript(mail=OK, recipients=(OK,)),
        Transcript(mail=OK, recipients=(OK,), data=GO, content=GONE),
        Transcript(mail=Reply(421, "4.3.2 shutting down")),
        _sent(Reply(421, "4.3.2 shutting down")),
    ],
)
def test_a_connection_that_ends_before_the_dot_leads_to_another_server(
    transcript: Transcript,
) -> None:
    (verdict,) = judge(transcript, 1)

    assert isinstance(verdict, Later)
    assert verdict.elsewhere


def test_too_many_recipients_may_be_asked_for_again_once_others_got_through() -> None:
    many = Reply(452, "4.5.3 too many recipients")

    _, again = judge(_sent(OK, OK, many), 2)
    _, not_again = judge(_sent(Reply(451, "4.3.0 no"), OK, many), 2)

    assert isinstance(again, Later)
    assert again.again
    assert not again.elsewhere
    assert isinstance(not_again, Later)
    assert not not_again.again


def test_a_full_mailbox_is_not_too_many_recipients() -> None:
    _, verdict = judge(_sent(OK, OK, Reply(452, "4.2.2 mailbox full")), 2)

    assert isinstance(verdict, Later)
    assert not verdict.again


@pytest.mark.parametrize(
    ("refusal", "meaning", "enhanced"),
    [
        (Refusal(Stage.CONNECT, Lost("Connection refused")), Later, "4.4.1"),
        (Refusal(Stage.GREETING, GONE), Later, "4.4.2"),
        (Refusal(Stage.GREETING, Reply(421, "too many connections")), Later, "4.4.2"),
        (Refusal(Stage.GREETING, Reply(554, "5.7.1 blocked, see http://rbl/")), Later, "4.7.1"),
        (Refusal(Stage.GREETING, Reply(521, "host does not accept mail")), Never, "5.4.2"),
        (Refusal(Stage.HELLO, Reply(550, "5.7.1 go away")), Never, "5.7.1"),
        (Refusal(Stage.HELLO, Reply(451, "later")), Later, "4.4.2"),
        (Refusal(Stage.TLS, Reply(454, "4.7.0 TLS not available")), Later, "4.7.0"),
        (Refusal(Stage.AUTH, Reply(535, "5.7.8 bad password")), Later, "4.7.8"),
    ],
)
def test_servers_that_do_not_come_as_far_as_a_message(
    refusal: Refusal, meaning: type[Never | Later], enhanced: str
) -> None:
    verdict = judge_refusal(refusal)

    assert isinstance(verdict, meaning)
    assert verdict.status.dotted == enhanced


def test_a_domain_is_refused_for_ever_only_by_all_its_servers() -> None:
    never = Refusal(Stage.GREETING, Reply(521, "no mail here"))
    later = Refusal(Stage.CONNECT, Lost("Connection refused"))

    assert isinstance(summed_up([never, never]), Never)
    assert isinstance(summed_up([never, later]), Later)
    assert isinstance(summed_up([later, never]), Later)


replies = st.builds(Reply, st.integers(0, 999), st.text(max_size=40))
answers = replies | st.builds(Lost, st.text(max_size=10))


@given(
    st.builds(
        Transcript,
        mail=answers,
        recipients=st.lists(answers, max_size=5).map(tuple),
        data=st.none() | answers,
        content=st.none() | st.builds(Lost, st.text(max_size=10)),
        end=st.none() | answers,
    ),
    st.integers(1, 6),
)
def test_any_conversation_has_one_verdict_per_recipient(transcript: Transcript, n: int) -> None:
    verdicts = judge(transcript, n)

    assert len(verdicts) == n
    for verdict in verdicts:
        if isinstance(verdict, Taken):
            assert isinstance(transcript.end, Reply)
            assert transcript.end.is_positive
        elif isinstance(verdict, Never):
            assert verdict.status.is_permanent
        else:
            assert verdict.status.is_temporary


@given(replies, st.sampled_from(Stage))
def test_any_reply_has_a_status_of_its_own_class(reply: Reply, stage: Stage) -> None:
    status = status_of(reply, stage)

    assert status.enhanced[0] == status.code // 100
    assert status.is_permanent is reply.is_permanent
