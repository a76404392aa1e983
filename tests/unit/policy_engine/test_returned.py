"""Mail that came back is known by its address alone, and read by somebody else."""

from __future__ import annotations

from uuid import UUID

from policy_engine.returned import as_meant, reports_in
from posthouse.mail.address import parse_address
from posthouse.mail.admission import RcptQuestion
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.ids import day_of, new_id
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.incoming import IncomingReport

PATHS = ReturnPaths(b"fedcba9876543210")
ANNA = parse_address("anna@example.test")
MAIL = UUID("019aaa00-0000-7000-8000-000000000002")
TODAY = day_of(MAIL)


def _inbound(*addresses: str | None) -> Inbound:
    to = tuple(InboundRecipient(n=n, address=a or "") for n, a in enumerate(addresses))
    return Inbound(id=new_id(), sender="", size=7, recipients=to)


def test_a_bounce_says_by_its_address_what_it_speaks_of() -> None:
    plain, signed = _inbound("anna@example.test"), _inbound(PATHS.signed(ANNA, MAIL))
    verp = _inbound("bert@example.test", PATHS.verp(ANNA, MAIL, 4, "x@far.test"))
    numbered = _inbound(PATHS.verp(ANNA, MAIL, 4, "x" * 40 + "@far.test"))

    found = reports_in([plain, signed, verp, numbered], PATHS, TODAY, "")

    assert found == [
        IncomingReport(id=signed.id, size=7, subject=MAIL),
        IncomingReport(id=verp.id, size=7, subject=MAIL, address="x@far.test"),
        IncomingReport(id=numbered.id, size=7, subject=MAIL, recipient=4),
    ]


def test_a_complaint_is_known_by_the_address_for_it() -> None:
    complaint = _inbound("FBL@example.test", "fbl@example.test")

    assert reports_in([complaint], PATHS, TODAY, "fbl@example.test") == [
        IncomingReport(id=complaint.id, size=7)
    ]
    assert reports_in([complaint], PATHS, TODAY, "") == []


def test_nobody_makes_up_a_bounce() -> None:
    forged = [_inbound(ReturnPaths(b"x").signed(ANNA, MAIL)), _inbound("not an address" + "a" * 40)]

    assert reports_in(forged, PATHS, TODAY, "fbl@example.test") == []


def test_a_question_is_asked_of_the_owner() -> None:
    path = PATHS.signed(ANNA, MAIL)
    assert path is not None
    asked = RcptQuestion(recipient=path, client="192.0.2.1")
    other = RcptQuestion(recipient=path.replace("anna", "bert"), client="192.0.2.1")

    assert as_meant(asked, PATHS, TODAY).recipient == "anna@example.test"
    assert as_meant(other, PATHS, TODAY) is other
