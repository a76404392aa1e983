"""Envelopes on the wire."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.bus.topology import INBOUND as INBOUND_ROAD
from posthouse.bus.topology import LOCAL as LOCAL_ROAD
from posthouse.bus.topology import REMOTE_ROADS
from posthouse.bus.wire import (
    BUNDLE_MAX,
    BUNDLE_OCTETS,
    bundled,
    decode,
    decode_notices,
    encode,
    encode_notices,
    unbundled,
)
from posthouse.mail.envelope import (
    Envelope,
    Inbound,
    InboundRecipient,
    Local,
    LocalRecipient,
    MailboxChanged,
    Remote,
    Summary,
)
from posthouse.mail.errors import BadEnvelope
from posthouse.mail.handling import DEFAULT, PLAIN
from posthouse.mail.ids import new_id

SUMMARY = Summary(envelope=b"(NIL)", bodystructure=b"()", header=b"A: \xff\r\n\r\n", parts=b"\0")
INBOUND = Inbound(
    id=new_id(),
    sender="anna@example.test",
    size=7,
    recipients=(InboundRecipient(n=0, address="bért@example.test"),),
    summary=SUMMARY,
)
LOCAL = Local(
    id=new_id(),
    sender="",
    size=7,
    recipients=(LocalRecipient(n=1, address="bert@example.test", account=3, folder="lists"),),
    attempts=2,
    warned=True,
)
REMOTE = Remote(
    id=new_id(),
    sender="anna@example.test",
    size=7,
    recipients=(InboundRecipient(n=0, address="x@example.org"),),
    domain="example.org",
)


@pytest.mark.parametrize("envelope", [INBOUND, LOCAL, REMOTE])
def test_what_is_encoded_is_decoded(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


def test_an_old_station_reads_a_new_envelope() -> None:
    new = json.loads(encode(LOCAL)) | {"colour": "blue"}

    assert decode(json.dumps(new).encode(), "mail.local") == LOCAL


def test_a_new_station_reads_an_old_envelope() -> None:
    old = {
        "type": "local",
        "id": str(new_id()),
        "sender": "",
        "size": 7,
        "recipients": [{"n": 0, "address": "anna@example.test", "account": 1}],
    }

    envelope = decode(json.dumps(old).encode(), "mail.local")

    assert isinstance(envelope, Local)
    assert (envelope.warned, envelope.summary, envelope.body) == (False, None, "7BIT")
    assert (envelope.handling, envelope.recipients[0].notify) == (PLAIN, DEFAULT)


def test_what_nobody_asked_for_takes_no_room_on_the_road() -> None:
    assert b"handling" not in encode(LOCAL)
    assert b"notify" not in encode(LOCAL)


def test_an_envelope_of_another_road_is_refused() -> None:
    with pytest.raises(BadEnvelope):
        decode(encode(INBOUND), "mail.local")


def test_an_envelope_without_recipients_is_refused() -> None:
    nobody = json.loads(encode(LOCAL)) | {"recipients": []}

    with pytest.raises(BadEnvelope, match="without recipients"):
        decode(json.dumps(nobody).encode())


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused_and_nothing_else(octets: bytes) -> None:
    with pytest.raises(BadEnvelope):
        decode(octets)


def test_notices_travel_together() -> None:
    changes = tuple(MailboxChanged(account=1, mailbox=n, modseq=9) for n in range(3))

    assert decode_notices(encode_notices(changes)) == changes


@pytest.mark.parametrize("octets", [b"", b"{}", b"[1]", b"\xff"])
def test_what_is_no_notice_is_refused(octets: bytes) -> None:
    with pytest.raises(BadEnvelope):
        decode_notices(octets)


def _summary(octets: int) -> Summary:
    return Summary(envelope=b"x" * octets, bodystructure=b"", header=b"", parts=b"")


@given(st.lists(st.integers(0, BUNDLE_OCTETS), max_size=3 * BUNDLE_MAX))
def test_bundles_carry_all_in_their_order_and_stay_small(sizes: list[int]) -> None:
    envelopes = [
        msgspec.structs.replace(INBOUND, size=n, summary=_summary(size))
        for n, size in enumerate(sizes)
    ]

    bodies = bundled(INBOUND_ROAD, envelopes)

    assert [decode(line) for body in bodies for line in unbundled(body)] == envelopes
    for body in bodies:
        assert 1 <= len(unbundled(body)) <= BUNDLE_MAX
        assert len(body) <= BUNDLE_OCTETS or len(unbundled(body)) == 1


def test_envelopes_that_are_worked_off_in_turn_share_a_message() -> None:
    assert len(bundled(LOCAL_ROAD, [LOCAL] * BUNDLE_MAX)) == 1


def test_what_goes_outside_travels_alone() -> None:
    assert len(bundled(REMOTE_ROADS[0], [REMOTE] * 3)) == 3


def test_rubbish_with_many_lines_stays_in_one_piece() -> None:
    rubbish = b"\n" * BUNDLE_MAX

    assert unbundled(rubbish) == (rubbish,)
