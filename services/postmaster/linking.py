"""From what a mail that came back says to the recipients of ours that it speaks of. Pure.

    a return path of ours        names the message, perhaps the recipient: nobody else can have told
    a complaint without one      names a Message-ID of ours and a recipient of that message

What a return path names holds, whatever the mail itself says of others. Where neither it nor the
mail names a recipient, and the message went to one only, it is that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from posthouse.mime.returned import ReturnedMail, ToldOf
from posthouse.storage.incoming import IncomingReport, Sent

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # an operator's terminal would obey them
NOTHING_SAID = ToldOf(address="", action="")
_WHAT = {
    "bounce": "bounce came back",
    "complaint": "complaint came in",
    "auto-reply": "automatic reply came back",
    "other": "mail came back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One recipient of ours, and what is said of it.

    Attributes:
        sent: The recipient.
        told: What is said.
    """

    sent: Sent
    told: ToldOf


def links(
    report: IncomingReport, mail: ReturnedMail, candidates: Sequence[Sent]
) -> tuple[Link, ...]:
    """Return whom ``mail`` speaks of among ``candidates``, the recipients of one message.

    Args:
        report: What its address says.
        mail: What it says itself.
        candidates: To whom the message it speaks of went.
    """
    if report.recipient is not None:
        candidates = [sent for sent in candidates if sent.n == report.recipient]
    elif report.address:
        candidates = [sent for sent in candidates if _same(sent.address, report.address)]
    found = tuple(_matched(mail, candidates))
    if found or len(candidates) != 1:
        return found
    told = mail.recipients[0] if len(mail.recipients) == 1 else NOTHING_SAID
    return (Link(sent=candidates[0], told=told),)


def of_newest(sent: Sequence[Sent], mail: ReturnedMail) -> tuple[Sent, ...]:
    """Return the recipients of the newest of several messages that ``mail`` can speak of."""
    by_message: dict[UUID, list[Sent]] = {}
    for each in sent:
        by_message.setdefault(each.id, []).append(each)
    for candidates in by_message.values():
        if links(IncomingReport(id=candidates[0].id, size=0), mail, candidates):
            return tuple(candidates)
    return ()


def sentence(mail: ReturnedMail, link: Link, report: UUID) -> tuple[str, str]:
    """Return what the trace says: a constant phrase, and what varies."""
    told = link.told
    said = mail.feedback or " ".join(part for part in (told.action, told.status, told.said) if part)
    parts = (link.sent.address, said, f"report {report}")
    is_news = mail.kind == "bounce" and told.action not in ("", "failed")
    what = "report came back" if is_news else _WHAT[mail.kind]
    return what, _CONTROLS.sub(" ", "; ".join(part for part in parts if part))


def _matched(mail: ReturnedMail, candidates: Sequence[Sent]) -> Iterator[Link]:
    by_address: dict[str, ToldOf] = {}
    for told in mail.recipients:
        for address in (told.original, told.address):
            by_address.setdefault(address.lower(), told)
    for sent in candidates:
        if sent.address.lower() in by_address:
            yield Link(sent=sent, told=by_address[sent.address.lower()])


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()
