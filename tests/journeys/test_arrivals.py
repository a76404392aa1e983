"""Programs that come by proxies, filters, LMTP, with a certificate or a token: mail and its trace."""

from typing import Any

import pytest

from support.arrivals import BALANCER, FILTER, Arrivals
from support.clients import HOST, Desk
from support.letters import letter
from support.stack import House, eventually
from support.submitters import curl, msmtp, nodemailer, s_client, swaks

pytestmark = pytest.mark.journey

CLIENT = "192.0.2.7"
_PROXY = ("--proxy-source", CLIENT, "--proxy-source-port", "40000", "--proxy-dest", "192.0.2.1")
_PROXY_1 = ("--proxy-version", "1", "--proxy-family", "TCP4", *_PROXY, "--proxy-dest-port", "25")
_PROXY_2 = ("--proxy-version", "2", "--proxy-family", "AF_INET", *_PROXY, "--proxy-dest-port", "25")


def _traced(house: House, recipient: str) -> dict[str, Any]:
    """Return what the trace tells of the only message to ``recipient``."""
    [found] = house.ask("GET", f"/trace?recipient={recipient}")["items"]
    told: dict[str, Any] = house.ask("GET", f"/trace/{found['id']}")["envelope"]
    return told


def _plain(desk: Desk) -> tuple[str, ...]:
    return ("--auth", "PLAIN", "--auth-user", desk.user[0], "--auth-password", desk.user[1])


@pytest.mark.parametrize("header", [_PROXY_1, _PROXY_2], ids=["version 1", "version 2"])
def test_a_stranger_behind_a_load_balancer_is_himself(desk: Desk, header: tuple[str, ...]) -> None:
    sent, port = letter("through a balancer"), str(desk.house.port("smtp"))

    swaks(
        desk, sent, "--port", port, "--local-interface", BALANCER, *header,
        "--from", "a@elsewhere.test", "--to", desk.user[0],
    )  # fmt: skip

    (found,) = desk.house.await_messages(desk.user, 1)
    assert f"from swaks.test ([{CLIENT}])".encode() in found
    assert _traced(desk.house, desk.user[0])["client"] == f"{CLIENT} swaks.test"


@pytest.mark.parametrize("header", [_PROXY_1, _PROXY_2], ids=["version 1", "version 2"])
@pytest.mark.parametrize("tls", ["starttls", "smtps"])
def test_an_account_behind_a_load_balancer_is_itself(
    desk: Desk, header: tuple[str, ...], tls: str
) -> None:
    sent = letter("from home", desk.user[0])
    port = desk.house.port("smtps" if tls == "smtps" else "submission")
    encrypted = "--tlsc" if tls == "smtps" else "--tls"

    swaks(
        desk, sent, "--port", str(port), "--local-interface", BALANCER, *header, encrypted,
        *_plain(desk), "--from", desk.user[0], "--to", desk.user[0],
    )  # fmt: skip

    desk.house.await_messages(desk.user, 1)
    told = _traced(desk.house, desk.user[0])
    assert told["client"].startswith(f"{CLIENT} swaks.test (TLSv1.3 ")
    assert told["auth"] == desk.user[0]


def test_a_filter_speaks_for_a_stranger(desk: Desk) -> None:
    sent, port = letter("through a filter"), str(desk.house.port("smtp"))

    said = swaks(
        desk, sent, "--port", port, "--local-interface", FILTER,
        "--xclient-addr", "IPV6:2001:db8::7", "--xclient-helo", "far.test",
        "--xclient-proto", "ESMTP",
        "--from", "a@elsewhere.test", "--to", desk.user[0],
    )  # fmt: skip

    (found,) = desk.house.await_messages(desk.user, 1)
    assert b"from swaks.test ([IPv6:2001:db8::7])" in found
    assert said.count("<-  220 ") == 2
    assert _traced(desk.house, desk.user[0])["client"] == "2001:db8::7 swaks.test"


def test_a_filter_speaks_for_an_account(desk: Desk) -> None:
    sent, port = letter("of an account", desk.user[0]), str(desk.house.port("smtp"))

    swaks(
        desk, sent, "--port", port, "--local-interface", FILTER,
        "--xclient-addr", CLIENT, "--xclient-login", desk.user[0],
        "--from", desk.user[0], "--to", desk.user[0],
    )  # fmt: skip

    desk.house.await_messages(desk.user, 1)
    told = _traced(desk.house, desk.user[0])
    assert (told["client"], told["auth"]) == (f"{CLIENT} swaks.test", desk.user[0])


def test_others_are_not_offered_xclient(desk: Desk) -> None:
    asked = ("--port", str(desk.house.port("smtp")), "--xclient-addr", CLIENT)

    with pytest.raises(AssertionError, match="Host did not advertise XCLIENT"):
        swaks(desk, letter("x"), *asked, "--from", "a@elsewhere.test", "--to", desk.user[0])


@pytest.mark.parametrize("way", ["balancer", "filter"])
def test_the_failures_of_who_comes_by_another_are_his(desk: Desk, way: str) -> None:
    client = f"198.51.100.{5 if way == 'balancer' else 6}"
    header = tuple(client if word == CLIENT else word for word in _PROXY_1)
    by = {
        "balancer": ("--local-interface", BALANCER, *header),
        "filter": ("--local-interface", FILTER, "--xclient-addr", client),
    }[way]
    nobodies = ",".join(f"nobody{n}@example.test" for n in range(9))
    port = str(desk.house.port("smtp"))

    with pytest.raises(AssertionError, match=r"550 5\.1\.1 "):
        swaks(desk, letter("x"), "--port", port, *by, "--from", "a@far.test", "--to", nobodies)

    eventually(lambda: _counted(desk.house, client, "failures"), lambda count: count > 1, 10)


def _counted(house: House, client: str, what: str) -> float:
    found = house.ask("GET", f"/limits?who={client}")["items"]
    return float(sum(each["count"] for each in found if each["what"] == what))


def test_lmtp_answers_for_each_recipient(desk: Desk, arrivals: Arrivals) -> None:
    other, sent = desk.house.account(), letter("by LMTP")

    said = swaks(
        desk, sent, "--protocol", "LMTP", "--port", str(arrivals.lmtp_port),
        "--from", "a@elsewhere.test", "--to", f"{desk.user[0]},{other[0]}",
    )  # fmt: skip

    assert said.partition("-> .")[2].count("250 2.0.0 ") == 2
    for reader in (desk.user, other):
        (found,) = desk.house.await_messages(reader, 1)
        assert b"with LMTP id" in found
    assert _traced(desk.house, other[0])["client"] == "127.0.0.1 swaks.test"


def test_msmtp_shows_a_certificate_and_needs_no_password(desk: Desk, arrivals: Arrivals) -> None:
    sent = letter("by certificate", desk.user[0])

    msmtp(
        desk, [desk.user[0]], sent.replace(b"\r\n", b"\n"), mechanism="external",
        shows=arrivals.person(desk.user[0]),
    )  # fmt: skip

    (found,) = desk.house.await_messages(desk.user, 1)
    assert found.endswith(sent)
    assert f"auth=pass smtp.auth={desk.user[0]}".encode() in b" ".join(found.split())
    assert _traced(desk.house, desk.user[0])["auth"] == desk.user[0]


def test_a_certificate_of_others_lets_nobody_in(desk: Desk, arrivals: Arrivals) -> None:
    shown = arrivals.person("somebody.else@example.test")

    said = s_client(
        desk, "smtps", "EHLO b.test\nAUTH EXTERNAL =\nQUIT\n",
        "-cert", str(shown.certificate), "-key", str(shown.key),
    )  # fmt: skip

    assert "AUTH" in said
    assert "EXTERNAL" in said
    assert "535 5.7.8 " in said


@pytest.mark.parametrize(
    ("mechanism", "more"), [("SCRAM-SHA-256", ["--no-cb"]), ("SCRAM-SHA-256-PLUS", [])]
)
@pytest.mark.parametrize("protocol", ["smtp", "imap"])
def test_gnu_sasl_proves_a_password_that_it_does_not_say(
    desk: Desk, mechanism: str, more: list[str], protocol: str
) -> None:
    port = desk.house.port("submission" if protocol == "smtp" else "imap")

    said = desk.run(
        "gsasl", f"--{protocol}", "--starttls", "--verbose", *more, f"--mechanism={mechanism}",
        f"--authentication-id={desk.user[0]}", f"--password={desk.user[1]}",
        f"--x509-ca-file={desk.authority}", HOST, str(port),
    )  # fmt: skip

    assert "server trusted" in said
    assert desk.user[1] not in said


def test_nodemailer_sends_with_a_token(desk: Desk, arrivals: Arrivals) -> None:
    token = arrivals.issuer.token(email=desk.user[0])
    message = {"from": desk.user[0], "to": desk.user[0], "subject": "by token", "text": "Hello."}

    (said,) = nodemailer(
        desk, message, auth={"type": "OAuth2", "user": desk.user[0], "accessToken": token}
    )

    assert said["response"].startswith("250 2.0.0 ")
    desk.house.await_messages(desk.user, 1)
    assert _traced(desk.house, desk.user[0])["auth"] == desk.user[0]


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_curl_sends_and_reads_with_a_token(desk: Desk, arrivals: Arrivals, mechanism: str) -> None:
    token, sent = arrivals.issuer.token(email=desk.user[0]), letter("by token", desk.user[0])
    proof = (
        "--user", desk.user[0], "--oauth2-bearer", token, "--login-options", f"AUTH={mechanism}"
    )  # fmt: skip

    curl(
        desk, f"smtps://{HOST}:{desk.house.port('smtps')}/curl.test", *proof,
        "--mail-from", desk.user[0], "--mail-rcpt", desk.user[0], "--upload-file", "-",
        stdin=sent,
    )  # fmt: skip

    desk.house.await_messages(desk.user, 1)
    read = curl(desk, f"imaps://{HOST}:{desk.house.port('imaps')}/INBOX;MAILINDEX=1", *proof)
    assert read.encode().endswith(sent)
    told = _traced(desk.house, desk.user[0])
    assert told["client"].startswith("127.0.0.1 curl.test (TLSv1.3 ")


def test_a_token_of_somebody_else_sends_nothing(desk: Desk, arrivals: Arrivals) -> None:
    token = arrivals.issuer.token(email="nobody@example.test")
    message = {"from": desk.user[0], "to": desk.user[0], "text": "Hello."}

    (said,) = nodemailer(
        desk, message, auth={"type": "OAuth2", "user": desk.user[0], "accessToken": token}
    )

    assert said["response"].startswith("535 5.7.8 ")
    assert not desk.house.ask("GET", f"/trace?recipient={desk.user[0]}")["items"]
