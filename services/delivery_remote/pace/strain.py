"""What means that a site has too much: "not now", said of itself and not of one mail. Pure.

421 wherever it is said (RFC 5321 §3.8), 4yz to the greeting or to MAIL, and 4yz elsewhere whose
enhanced code names the system, its congestion or a rate (RFC 3463 §3.4, §3.5). What it says of the
sender or a recipient (X.1.Z, X.2.Z), or of what proves the sender (X.7.20 on), is theirs alone:
greylisting slows nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from delivery_remote.transcript import Answer, Lost, Refusal, Reply, Stage, Transcript
from delivery_remote.trouble import status_of

_CLOSING = 421
_TEMPORARY = 4
# Full, not now, congested; rates in the words of Gmail and Outlook.
_SYSTEM = {(3, 1), (3, 2), (4, 5), (7, 28), (7, 650)}
_OF_THE_SENDER = range(20, 28)  # X.7.20 to X.7.27: DKIM, SPF, reverse DNS, null MX


def strain_in(transcript: Transcript) -> str:
    """Return what a server said of itself in a conversation that means too much; empty if nothing."""
    mail = transcript.mail
    if isinstance(mail, Lost) or _is_of_itself(mail):
        return str(mail)
    after = (*transcript.recipients, transcript.data, transcript.end)
    return next((str(answer) for answer in after if answer is not None and _is_busy(answer)), "")


def strain_of(refusals: Iterable[Refusal]) -> str:
    """Return what servers that let us not in have said that means too much; empty if nothing."""
    greetings = (each.answer for each in refusals if each.stage in {Stage.GREETING, Stage.HELLO})
    said = (answer for answer in greetings if isinstance(answer, Reply))
    return next((str(reply) for reply in said if reply.code // 100 == _TEMPORARY), "")


def _is_of_itself(reply: Reply) -> bool:
    """True for a 4yz to MAIL, unless it is about who sends."""
    if reply.code // 100 != _TEMPORARY:
        return False
    if reply.code == _CLOSING:
        return True
    _, subject, detail = status_of(reply, Stage.MAIL).enhanced
    return subject not in {1, 2} and not (subject == 7 and detail in _OF_THE_SENDER)  # noqa: PLR2004 - X.7.Z


def _is_busy(answer: Answer) -> bool:
    if isinstance(answer, Lost) or answer.code // 100 != _TEMPORARY:
        return False
    _, subject, detail = status_of(answer, Stage.DOT).enhanced
    return answer.code == _CLOSING or (subject, detail) in _SYSTEM
