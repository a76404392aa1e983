"""Mail that is refused, and the reply that its sender sees, for each reason that policy has."""

import re
import smtplib
from pathlib import Path

import pytest

from onemachine import demo
from support.arrivals import BALANCER
from support.clients import Desk
from support.stack import House, eventually

pytestmark = pytest.mark.journey

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GREY = "grey.test"
HAM, LISTED, DENIED = "198.51.100.1", "198.51.100.66", "198.51.100.130"


@pytest.fixture(scope="module", autouse=True)
def _lists(judging: House) -> None:
    """Whom this house does not want, and how it scores."""
    for kind, key in (
        ("sender", "bad@far.test"),
        ("sender", "evil.test"),
        ("client", "198.51.100.128/28"),
        ("hello", "mx.spammer.test"),
        ("header", "X-Mailer: Bulk Mate"),
    ):
        judging.ask("PUT", f"/policy/access/*/{kind}/{key}", {"action": "deny"})
    judging.ask("PUT", "/policy/zones/bl.test", {"weight": 3, "text": "See https://bl.test/"})
    judging.ask("POST", "/domains", {"domain": GREY})
    judging.ask("PUT", f"/policy/greylist/domains/{GREY}", {"enabled": True})


def _told(
    desk: Desk,
    *,
    sender: str = "eve@far.test",
    to: str = "",
    client: str = HAM,
    hello: str = "mx.far.test",
    text: str = "hi",
) -> str:
    """Send with swaks, by the balancer, as ``client``; return the last reply, to QUIT if all went well."""
    file: Path = desk.home / "letter.eml"
    file.write_text(f"From: <{sender}>\nTo: <{desk.user[0]}>\nX-Mailer: swaks\nSubject: hi\n\nhi\n")
    if text.startswith("X-Mailer"):
        file.write_text(file.read_text().replace("X-Mailer: swaks", text))
    elif text != "hi":
        file.write_text(f"{file.read_text()}{text}\n")
    said = desk.run(
        "swaks", "--server", "127.0.0.1", "--port", str(desk.house.port("smtp")),
        "--local-interface", BALANCER, "--proxy-version", "1", "--proxy-family", "TCP4",
        "--proxy-source", client, "--proxy-source-port", "40000", "--proxy-dest", "192.0.2.1",
        "--proxy-dest-port", "25", "--helo", hello, "--data", f"@{file}",
        "--from", sender, "--to", to or desk.user[0],
        ok=range(64),
    )  # fmt: skip
    replies = [line[4:].strip() for line in said.splitlines() if line[:1] == "<"]
    refused = [line for line in replies if line[:1] in {"4", "5"}]
    return (refused or replies)[0 if refused else -1]


def _refused(desk: Desk, **how: str) -> str:
    """Return the reply that refuses; what was set a moment ago is heeded within seconds."""

    def is_refusal(said: str) -> bool:
        return said[:1] in {"4", "5"} and "cannot be judged now" not in said  # it takes its time

    return eventually(lambda: _told(desk, **how), is_refusal)


SPAM = "550 5.7.1 Message refused: it looks like spam"
NOT_WANTED = "550 5.7.1 Mail from you is not taken here"


@pytest.mark.parametrize(
    ("how", "reply"),
    [
        (
            {"sender": "anna@bank.test"},
            "550 5.7.1 Message refused: its author's domain says it is forged (DMARC)",
        ),
        ({"client": LISTED}, "550 5.7.1 See https://bl.test/"),
        ({"sender": "bad@far.test"}, NOT_WANTED),
        ({"sender": "any@evil.test"}, NOT_WANTED),
        ({"client": DENIED}, NOT_WANTED),
        ({"hello": "mx.spammer.test"}, NOT_WANTED),
        ({"text": "X-Mailer: Bulk Mate"}, NOT_WANTED),
        ({"to": "nobody@example.test"}, "550 5.1.1 No such user here"),
        ({"to": "x@elsewhere.test"}, "550 5.7.1 Relaying denied"),
    ],
    ids=["dmarc", "dnsbl", "address", "domain", "network", "hello", "header", "unknown", "relay"],
)  # fmt: skip
def test_a_stranger_is_told_why(judged: Desk, how: dict[str, str], reply: str) -> None:
    assert _refused(judged, **how) == reply
    assert judged.house.messages(judged.user) == []


def test_too_many_points_are_refused(judged: Desk, judging: House) -> None:
    path = "/policy/rule-sets/gtube"
    with demo.api(judging.demo) as client:
        rule = f"body GTUBE /{re.escape(GTUBE)}/\nscore GTUBE 1000\n"
        client.put(path, content=rule).raise_for_status()
    judging.ask("PUT", f"{path}/state", {"state": "live"})
    try:
        assert _refused(judged, text=GTUBE) == SPAM
        _what_an_account_submits_is_refused_likewise_and_counted(judging)
    finally:
        judging.ask("DELETE", path)


def _what_an_account_submits_is_refused_likewise_and_counted(house: House) -> None:
    user = house.account()
    octets = f"From: <{user[0]}>\r\n\r\n{GTUBE}\r\n".encode()

    with pytest.raises(smtplib.SMTPDataError) as refused:
        house.submit(user, ["x@far.test"], octets)

    assert (refused.value.smtp_code, refused.value.smtp_error) == (550, SPAM.encode()[4:])
    seen = eventually(
        lambda: house.ask("GET", f"/policy/limits/show/{user[0]}")["spam"], lambda count: count > 0
    )
    assert seen == 1


def test_who_is_refused_for_nothing_arrives(judged: Desk) -> None:
    assert _told(judged)[:3] == "221"

    judged.house.await_messages(judged.user, 1)


def test_who_is_not_known_comes_again_and_is_let_in(judged: Desk, judging: House) -> None:
    to = f"u-{judged.user[0].partition('@')[0]}@{GREY}"
    judging.ask("POST", "/accounts", {"address": to, "password": "unused-by-anybody"})

    first = _refused(judged, to=to)

    assert first == "451 4.7.1 You are not known here yet, come again in a minute"
    eventually(lambda: _told(judged, to=to), lambda said: said[:3] == "221")


def test_an_account_is_told_of_its_limit_and_that_it_is_paused(judging: House) -> None:
    user = judging.account()
    judging.ask("PUT", f"/policy/limits/account/{user[0]}/recipients", {"rates": "1/1d"})
    outside = (f"x{n}@far.test" for n in range(10_000))

    said = eventually(lambda: judging.asks_for(user, next(outside)), lambda reply: reply[0] != 250)
    judging.ask("PUT", f"/paused-accounts/{user[0]}", {"kind": "pause"})

    text = f"4.5.3 Sending limit of {user[0]} reached: 1 recipients in 1d"
    assert said == (452, text.encode())
    assert eventually(lambda: _mail(judging, user), lambda reply: reply[0] != 250) == (
        550,
        b"5.7.1 Sending from this account is paused: ask your administrator",
    )


def _mail(house: House, user: tuple[str, str], *options: str) -> tuple[int, bytes]:
    with smtplib.SMTP("localhost", house.port("submission"), timeout=30) as client:
        client.starttls(context=house.trust)
        client.login(*user)
        return client.mail(user[0], options)


def test_what_is_too_large_is_refused_before_it_is_sent(judging: House) -> None:
    said = _mail(judging, judging.account(), f"SIZE={1 << 40}")

    assert said == (552, b"5.3.4 Message too large")
