"""Programs that people send with, on everything that submission offers them."""

import base64
from email import message_from_bytes, policy

import pytest

from support.clients import Desk
from support.letters import letter
from support.submitters import msmtp, nodemailer, s_client, s_nail

pytestmark = pytest.mark.journey


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_logs_in_by_each_mechanism(desk: Desk, mechanism: str) -> None:
    sent = letter(f"by {mechanism}", sender=desk.user[0])

    msmtp(desk, [desk.user[0]], sent.replace(b"\r\n", b"\n"), mechanism=mechanism)

    (found,) = desk.house.await_messages(desk.user, 1)
    assert found.endswith(sent)


def test_who_asks_for_a_success_report_gets_one(desk: Desk) -> None:
    other, sent = desk.house.account(), letter("tell me", sender=desk.user[0])

    msmtp(desk, [other[0]], sent.replace(b"\r\n", b"\n"), mechanism="plain", dsn="success")

    desk.house.await_messages(other, 1)
    (report,) = desk.house.await_messages(desk.user, 1)
    found = message_from_bytes(report, policy=policy.default)
    assert found.get_content_type() == "multipart/report"
    assert f"rfc822;{other[0]}".encode() in report.replace(b" ", b"")
    assert b"Action: delivered" in report


@pytest.mark.parametrize("how", ["smtp", "smtps"])
def test_s_nail_writes_a_letter(desk: Desk, how: str) -> None:
    s_nail(desk, desk.user[0], "Grüße", "Bis bald!\n", how=how)

    (found,) = desk.house.await_messages(desk.user, 1)
    read = message_from_bytes(found, policy=policy.default)
    assert read["Subject"] == "Grüße"
    assert read["From"] == desk.user[0]
    assert read.get_content().split() == ["Bis", "bald!"]


def test_nodemailer_sends_attachments_and_blind_copies(desk: Desk) -> None:
    blind = desk.house.account()
    picture = bytes(range(256)) * 400

    (said,) = nodemailer(
        desk,
        {
            "from": desk.user[0],
            "to": desk.user[0],
            "bcc": blind[0],
            "subject": "ein Bild für dich",
            "text": "Hier.",
            "attachments": [
                {"filename": "bild.png", "encoding": "base64", "content": _base64(picture)}
            ],
        },
    )

    assert said["response"].startswith("250 2.0.0 ")
    for who in (desk.user, blind):
        (found,) = desk.house.await_messages(who, 1)
        read = message_from_bytes(found, policy=policy.default)
        assert blind[0] not in str(read["Bcc"])
        assert next(read.iter_attachments()).get_content() == picture


def test_nodemailer_sends_many_over_one_connection(desk: Desk) -> None:
    letters = [
        {"from": desk.user[0], "to": desk.user[0], "subject": f"no. {number}", "text": "x"}
        for number in range(12)
    ]

    said = nodemailer(desk, *letters, pool=True, maxConnections=1)

    assert all(one["accepted"] == [desk.user[0]] for one in said)
    assert len(desk.house.await_messages(desk.user, 12)) == 12


def test_nodemailer_is_refused_a_sender_of_others(desk: Desk) -> None:
    other = desk.house.account()

    (said,) = nodemailer(desk, {"from": other[0], "to": desk.user[0], "text": "forged"})

    assert said["response"].startswith(("550 5.7.", "553 5.7."))
    assert not desk.house.messages(desk.user)


def test_openssl_logs_in_by_hand_and_is_told_what_is_offered(desk: Desk) -> None:
    login = _base64("\0".join(("", *desk.user)).encode())

    said = s_client(desk, "smtps", f"EHLO b.test\nAUTH PLAIN {login}\nQUIT\n")

    assert said.index("220 ") < said.index("250 AUTH ") < said.index("235 2.7.0 ")
    assert "221 2.0.0 " in said
    assert "STARTTLS" not in said


def test_openssl_begins_tls_on_the_port_for_servers(desk: Desk) -> None:
    said = s_client(desk, "smtp", "EHLO b.test\nQUIT\n", "-starttls", "smtp")

    assert "221 2.0.0 " in said
    assert "AUTH" not in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_gets_no_old_tls(desk: Desk, version: str) -> None:
    said = s_client(desk, "smtps", "EHLO b.test\nQUIT\n", version, "-cipher", "ALL:@SECLEVEL=0")

    assert "220 " not in said


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
