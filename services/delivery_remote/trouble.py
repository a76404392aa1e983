"""What an answer, or its absence, means for each recipient (RFC 5321 §4.2, §4.3.2). Pure.

One conversation with one server becomes a `Transcript`; `judge` turns that into one verdict per
recipient, `judge_refusal` does so for a server that never let us get to the message. Three rules
stand above the tables:

- what a server says of a recipient, or of the message, holds: 5yz ends it, 4yz waits;
- what it says of itself (greeting, EHLO, 421, silence) only sends us to the next server;
- after the final dot silence means "unknown": the message may have been taken, so no other server
  is asked now, and the recipients wait (this is the one window for a duplicate).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage, Transcript, is_yes
from posthouse.mail.status import Status

_ENHANCED = re.compile(
    r"([245])\.(\d{1,3})\.(\d{1,3})(?=[\s:]|$)"
)  # RFC 2034 §4, and OpenSMTPD's colon
_IN_BRACKETS = re.compile(r"\(#([245])\.(\d{1,3})\.(\d{1,3})\)")  # as qmail says it
_TOO_MANY = 452  # RFC 5321 §4.5.3.1.10
_STORAGE_EXCEEDED = 552
_NO_MAIL_HERE = 521  # RFC 7504 §3
_SOMETHING_FIRST = 530  # RFC 3207 §4, RFC 4954 §4


@dataclass(frozen=True, slots=True)
class Taken:
    """The server took responsibility.

    Attributes:
        reply: What it said.
    """

    reply: str


@dataclass(frozen=True, slots=True)
class Never:
    """It will not work.

    Attributes:
        status: Why.
        reply: What was said.
    """

    status: Status
    reply: str


@dataclass(frozen=True, slots=True)
class Later:
    """It did not work now.

    Attributes:
        status: Why.
        reply: What was said.
        elsewhere: Another server of the destination may be asked now.
        again: This server may be asked again at once: it took others and wants fewer at a time.
    """

    status: Status
    reply: str
    elsewhere: bool = False
    again: bool = False


Verdict: TypeAlias = Taken | Never | Later


def status_of(reply: Reply, stage: Stage) -> Status:
    """Return the status of a negative ``reply``: its own enhanced code if it fits (RFC 2034 §4).

    Without one, or with one of another class, it is the class with the subject that the stage
    suggests.
    """
    code = reply.code if reply.code // 100 in (4, 5) else 451
    found = _ENHANCED.match(reply.text) or _IN_BRACKETS.search(reply.text)
    if found and int(found[1]) == code // 100:
        return Status(code, (int(found[1]), int(found[2]), int(found[3])))
    subject, detail = _SUBJECTS.get(stage, (0, 0))
    return Status(code, (code // 100, subject, detail))


# RFC 3463 §3, where the server says none: x.1.0 other address status, x.5.0 other protocol
# status, x.3.0 other mail system status, x.4.2 bad connection, x.7.0 other security status.
_SUBJECTS = {
    Stage.CONNECT: (4, 1),
    Stage.GREETING: (4, 2),
    Stage.HELLO: (4, 2),
    Stage.TLS: (7, 0),
    Stage.AUTH: (7, 0),
    Stage.RCPT: (1, 0),
}


def judge_refusal(refusal: Refusal) -> Never | Later:
    """Decide what it means that a server did not let us come as far as MAIL.

    521 (RFC 7504 §3), 5yz to both EHLO and HELO, and a server that cannot keep what REQUIRETLS asks
    for (RFC 8689 §4.2.1) are permanent, should no other server do better. Any other 5yz greeting waits: it is said by overloaded servers and by block lists that
    change. So does a refused password: that is our mistake, not the sender's.
    """
    answer, stage = refusal.answer, refusal.stage
    if isinstance(answer, Lost):
        return _lost(stage, answer)
    is_final = (stage in {Stage.HELLO, Stage.REQUIRETLS} and answer.is_permanent) or (
        stage is Stage.GREETING and answer.code == _NO_MAIL_HERE
    )
    if is_final:
        return Never(status_of(answer, stage), str(answer))
    return Later(_softened(status_of(answer, stage)), str(answer), elsewhere=True)


def judge(transcript: Transcript, count: int) -> tuple[Verdict, ...]:
    """Return one verdict for each of ``count`` recipients."""
    if not is_yes(transcript.mail):
        return (_negative(transcript.mail, Stage.MAIL),) * count
    answers = [_recipient_answer(transcript, n) for n in range(count)]
    taking = _message_verdicts(transcript, sum(map(is_yes, answers)))
    some = any(isinstance(verdict, Taken) for verdict in taking)
    each = iter(taking)
    return tuple(
        next(each) if is_yes(answer) else _refused(answer, some=some) for answer in answers
    )


def _recipient_answer(transcript: Transcript, n: int) -> Answer:
    if n < len(transcript.recipients):
        return transcript.recipients[n]
    last = transcript.recipients[-1] if transcript.recipients else transcript.mail
    return last if isinstance(last, Lost) else Lost("no reply to RCPT TO")


def _refused(answer: Answer, *, some: bool) -> Never | Later:
    """A recipient that was not accepted; it may be asked for again if others got through."""
    verdict = _negative(answer, Stage.RCPT)
    if isinstance(verdict, Never) or not some:
        return verdict
    wants_fewer = verdict.status.code == _TOO_MANY and _is_vague(verdict.status)
    return replace(verdict, elsewhere=False, again=True) if wants_fewer else verdict


def _message_verdicts(transcript: Transcript, count: int) -> list[Verdict]:
    """What happened to the ``count`` recipients that RCPT accepted; by LMTP to each of them."""
    if len(transcript.ends) == count:
        return [_at_the_dot(answer) for answer in transcript.ends]
    return [_message_verdict(transcript)] * count


def _message_verdict(transcript: Transcript) -> Verdict:
    """What happened to the recipients that RCPT accepted."""
    if transcript.end is not None:
        return _at_the_dot(transcript.end)
    if transcript.content is not None:
        return _lost(Stage.CONTENT, transcript.content)
    if transcript.data is not None:
        return _negative(transcript.data, Stage.DATA)
    return _lost(Stage.DATA, Lost("the connection ended before DATA"))


def _at_the_dot(answer: Answer) -> Verdict:
    if isinstance(answer, Lost):  # unknown: it may have been taken; ask nobody else now
        return Later(Status(451, (4, 4, 2)), f"{answer} after the end of the message")
    if answer.is_positive:
        return Taken(str(answer))
    return _negative(answer, Stage.DOT)


def _negative(answer: Answer, stage: Stage) -> Never | Later:
    if isinstance(answer, Lost):
        return _lost(stage, answer)
    status = status_of(answer, stage)
    if answer.is_permanent and not (_means_too_many(answer, stage, status) or _wants_tls(answer)):
        return Never(status, str(answer))
    return Later(_softened(status), str(answer), elsewhere=True)


def _means_too_many(answer: Reply, stage: Stage, status: Status) -> bool:
    """552 to RCPT without a better reason means "too many recipients" (RFC 5321 §4.5.3.1.10)."""
    return stage is Stage.RCPT and answer.code == _STORAGE_EXCEEDED and _is_vague(status)


def _wants_tls(answer: Reply) -> bool:
    """530 "Must issue a STARTTLS command first": TLS failed just now, or we are not to use it.

    It tells of how we came, not of the mail (RFC 3207 §4); the next server, or the next time, may do.
    """
    return answer.code == _SOMETHING_FIRST and "STARTTLS" in answer.text.upper()


def _is_vague(status: Status) -> bool:
    """No enhanced code was given, or x.5.3, too many recipients (RFC 3463 §3.6)."""
    return status.enhanced[1:] in (_SUBJECTS[Stage.RCPT], (5, 3))


def _lost(stage: Stage, answer: Lost) -> Later:
    enhanced = (4, 4, 1) if stage is Stage.CONNECT else (4, 4, 2)  # RFC 3463 §3.5
    text = str(answer) if stage is Stage.CONNECT else f"{answer} at {stage.value}"
    return Later(Status(451, enhanced), text, elsewhere=True)


def _softened(status: Status) -> Status:
    """The same reason as a temporary one."""
    if not status.is_permanent:
        return status
    return Status(status.code - 100, (4, *status.enhanced[1:]))


def summed_up(refusals: Sequence[Refusal]) -> Never | Later:
    """Put together what all servers of a destination said: permanent only if all of them are.

    ``refusals`` is not empty.
    """
    verdicts = [judge_refusal(refusal) for refusal in refusals]
    later = [verdict for verdict in verdicts if isinstance(verdict, Later)]
    return later[-1] if later else verdicts[-1]
