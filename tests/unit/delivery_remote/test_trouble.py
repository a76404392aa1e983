"""Replies as servers of the world give them, and what becomes of the recipients."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage, Transcript
from delivery_remote.trouble import (
    Later,
    Never,
    Taken,
    Verdict,
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


WORLD = Path(__file__).parents[2] / "golden/replies/world.txt"
_MEANS: dict[str, type[Never | Later]] = {"never": Never, "later": Later}
_BEFORE_MAIL = {Stage.GREETING, Stage.HELLO, Stage.TLS, Stage.AUTH}


def _golden() -> list[tuple[Stage, str, type[Never | Later], str]]:
    """Read the table of replies: where, the reply, what it means, the enhanced code."""
    lines = [line for line in WORLD.read_text().splitlines() if line and line[0] != "#"]
    rows = [line.split(" | ", 3) for line in lines]
    return [
        (Stage[stage], text.replace("\\n", "\n"), _MEANS[means], enhanced)
        for stage, means, enhanced, text in rows
    ]


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


@pytest.mark.parametrize(("stage", "text", "meaning", "enhanced"), _golden())
def test_replies_of_the_world(
    stage: Stage, text: str, meaning: type[Never | Later], enhanced: str
) -> None:
    reply = _reply(text)

    if stage in _BEFORE_MAIL:
        verdict: Verdict = judge_refusal(Refusal(stage, reply))
    else:
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
