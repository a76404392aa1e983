"""Which of our recipients a mail that came back speaks of."""

from __future__ import annotations

import pytest

from posthouse.mail.ids import new_id
from posthouse.mime.returned import ReturnedMail, ToldOf
from posthouse.storage.incoming import IncomingReport, Sent
from postmaster.linking import NOTHING_SAID, links, of_newest, sentence

MAIL, REPORT = new_id(), new_id()
BERT = Sent(id=MAIL, n=0, address="Bert@far.test", sender="anna@example.test")
CARL = Sent(id=MAIL, n=1, address="carl@far.test", sender="anna@example.test")
GONE = ToldOf(address="bert@inner.far.test", original="bert@FAR.test", status="5.1.1", said="no")
BOUNCE = ReturnedMail(kind="bounce", recipients=(GONE,))
OTHER = ToldOf(address="somebody@else.test", status="5.1.1")


def _report(**said: object) -> IncomingReport:
    return IncomingReport(id=REPORT, size=1, subject=MAIL, **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "mail", "expected"),
    [
        ({}, BOUNCE, [(0, GONE)]),
        ({"recipient": 1}, BOUNCE, [(1, GONE)]),  # the signed address knows better than the text
        ({"address": "CARL@far.test"}, BOUNCE, [(1, GONE)]),
        ({"address": "nobody@far.test"}, BOUNCE, []),
        ({"recipient": 7}, BOUNCE, []),
        ({}, ReturnedMail(kind="bounce", recipients=(OTHER,)), []),  # which of two is not told
        ({}, ReturnedMail(kind="bounce", recipients=(OTHER, GONE)), [(0, GONE)]),
        ({"recipient": 1}, ReturnedMail(kind="auto-reply"), [(1, NOTHING_SAID)]),
        ({"recipient": 1}, ReturnedMail(kind="bounce", recipients=(OTHER, OTHER)), [(1, NOTHING_SAID)]),
    ],
)  # fmt: skip
def test_what_the_return_path_says_holds(
    said: dict[str, object], mail: ReturnedMail, expected: list[tuple[int, ToldOf]]
) -> None:
    found = links(_report(**said), mail, [BERT, CARL])

    assert [(link.sent.n, link.told) for link in found] == expected


def test_a_message_to_one_needs_no_name() -> None:
    (link,) = links(_report(), ReturnedMail(kind="bounce", recipients=(OTHER,)), [BERT])

    assert (link.sent, link.told) == (BERT, OTHER)
    assert links(_report(), BOUNCE, []) == ()


def test_of_several_messages_the_newest_that_fits_is_meant() -> None:
    older = Sent(id=new_id(), n=0, address="bert@far.test", sender="anna@example.test")
    newest = Sent(id=new_id(), n=0, address="x@far.test", sender="anna@example.test")
    second = Sent(id=newest.id, n=1, address="y@far.test", sender="anna@example.test")

    assert of_newest([newest, second, older], BOUNCE) == (older,)
    assert of_newest([newest, second], BOUNCE) == ()


def test_what_a_stranger_wrote_moves_no_cursor() -> None:
    evil = ReturnedMail(kind="bounce", recipients=(ToldOf(address="", said="\x1b[2J\x9b2Jno\r\n"),))
    (link,) = links(_report(recipient=0), evil, [BERT])

    assert sentence(evil, link, REPORT)[1].isprintable()


def test_the_trace_says_it_in_a_sentence() -> None:
    (link,) = links(_report(), BOUNCE, [BERT])
    complaint = ReturnedMail(kind="complaint", feedback="abuse")
    (other,) = links(_report(), complaint, [BERT])

    assert sentence(BOUNCE, link, REPORT) == (
        "bounce came back", f"Bert@far.test; failed 5.1.1 no; report {REPORT}",
    )  # fmt: skip
    assert sentence(complaint, other, REPORT) == (
        "complaint came in", f"Bert@far.test; abuse; report {REPORT}",
    )  # fmt: skip
