"""Mail that came back: bounces to return paths of ours, and complaints to the address for them. Pure.

They are recognized by their recipient alone, which costs ordinary mail one look at each address;
what they say is read later, by the postmaster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date

from msgspec import structs

from policy_engine.rights import read
from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.mail.admission import RcptQuestion
from posthouse.mail.envelope import Inbound
from posthouse.mail.return_path import ReturnPaths, looks_signed
from posthouse.storage.incoming import IncomingReport


def meant(address: Address, paths: ReturnPaths, today: date) -> Address:
    """Return whose return path ``address`` is; itself if it is none of ours."""
    if looks_signed(address.local):
        returned = paths.read(address, today)
        if returned is not None:
            return parse_address(returned.owner)
    return address


def as_meant(question: RcptQuestion, paths: ReturnPaths, today: date) -> RcptQuestion:
    """Return ``question`` on whose return path its recipient is; itself if it is none of ours."""
    if not looks_signed(question.recipient):
        return question
    address = read(question.recipient)
    owner = address and meant(address, paths, today)
    if owner is None or owner is address:
        return question
    return structs.replace(question, recipient=str(owner))


def reports_in(
    batch: Sequence[Inbound], paths: ReturnPaths, today: date, feedback: str
) -> list[IncomingReport]:
    """Return which mails of ``batch`` came back, each once, and what their addresses say.

    Args:
        batch: Mail that is routed now.
        paths: Knows our return paths.
        today: For their age.
        feedback: The address that complaints come to; empty for none.
    """
    found: dict[object, IncomingReport] = {}
    for mail in batch:
        for report in _reports(mail, paths, today, feedback):
            found.setdefault(mail.id, report)
    return list(found.values())


def _reports(
    mail: Inbound, paths: ReturnPaths, today: date, feedback: str
) -> Iterator[IncomingReport]:
    for to in mail.recipients:
        if feedback and to.address.lower() == feedback:
            yield IncomingReport(id=mail.id, size=mail.size)
        elif looks_signed(to.address):
            with suppress(BadAddress):
                returned = paths.read(parse_address(to.address), today)
                if returned is not None:
                    yield IncomingReport(
                        id=mail.id,
                        size=mail.size,
                        subject=returned.id,
                        recipient=returned.n,
                        address=returned.recipient,
                    )
