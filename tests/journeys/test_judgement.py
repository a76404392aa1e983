"""Mail that is judged on its way: into Junk and seen there, explained before it comes, let in while nobody judges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from onemachine import demo
from support.stack import House, eventually

pytestmark = pytest.mark.journey

SPAM = b"From: <deals@shop.test>\r\nSubject: buy\r\n\r\nnow\r\n"
HAM = b"From: <eve@far.test>\r\nSubject: hello\r\n\r\nhi\r\n"


def test_what_looks_forged_is_found_in_junk_and_the_trace_says_why(judging: House) -> None:
    user = judging.account()

    judging.send("deals@shop.test", [user[0]], SPAM)
    judging.send("eve@far.test", [user[0]], HAM)

    (ham,) = judging.await_messages(user, 1)
    (spam,) = eventually(lambda: judging.messages(user, "Junk"), bool)
    assert b"X-Spam-Flag: YES\r\n" in spam
    assert spam.endswith(b"\r\n" + SPAM)
    assert b"X-Spam" not in ham
    assert b"spf=pass" in ham
    [found] = judging.ask("GET", "/trace?sender=deals@shop.test")["items"]
    told = judging.ask("GET", f"/trace/{found['id']}")
    assert told["envelope"]["verdict"]["action"] == "quarantine"
    assert told["envelope"]["verdict"]["by"] == ["DMARC_FAIL"]
    assert told["recipients"][0]["folder"] == "Junk"
    again = judging.ask("GET", f"/policy/explain/{found['id']}")
    assert (again["action"], again["decided_by"]) == ("quarantine", ["DMARC_FAIL"])
    assert again["ways"] == [f"{user[0]}: to the mailbox of {user[0]}"]
    before = judging.ask("GET", f"/policy/explain/{found['id']}?client=192.0.2.1&sender=x@a.test")
    assert before["admission"][0]["command"] == "MAIL FROM:<x@a.test>"


def test_an_operator_is_told_before_what_would_become_of_it(judging: House) -> None:
    user = judging.account()
    how = {
        "sender": "deals@shop.test", "recipient": [user[0], "nobody@example.test"],
        "client": "192.0.2.1", "hello": "mx.shop.test",
    }  # fmt: skip

    with demo.api(judging.demo) as client:
        told = client.post("/policy/explain", params=how, content=SPAM).raise_for_status().json()

    assert [each["reply"][:3] for each in told["admission"]] == ["250", "250", "550"]
    assert (told["action"], told["decided_by"]) == ("quarantine", ["DMARC_FAIL"])
    assert "SPF_FAIL" in [each["rule"] for each in told["checks"][0]["evidence"]]
    assert told["header"].startswith("Authentication-Results: ")
    assert told["ways"] == [f"{user[0]}: to the mailbox of {user[0]}"]
    assert judging.messages(user) == []
    assert judging.messages(user, "Junk") == []


def test_the_command_line_explains_it_in_words(judging: House, tmp_path: Path) -> None:
    user = judging.account()
    letter = tmp_path / "spam.eml"
    letter.write_bytes(SPAM.replace(b"\r\n", b"\n"))
    asked = ("--sender", "deals@shop.test", "--recipient", user[0], "--client", "192.0.2.1")

    told = subprocess.run(
        [Path(sys.executable).parent / "posthouse", "policy", "explain", *asked, str(letter)],
        env={
            "POSTHOUSE_API_URL": judging.demo.api_url,
            "POSTHOUSE_API_TOKEN": judging.demo.api_token,
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "quarantine by DMARC_FAIL, 0 points: 250 2.0.0 Ok" in told
    assert f"{user[0]}: to the mailbox of {user[0]}" in told
    assert "X-Spam-Flag: YES" in told


def test_what_an_account_sends_while_nobody_judges_arrives_once(judging: House) -> None:
    user = judging.account()
    policy = judging.stack.service("policy")
    judging.halt(policy)
    try:
        judging.submit(
            user, [user[0]], f"From: <{user[0]}>\r\nSubject: late\r\n\r\nhi\r\n".encode()
        )
    finally:
        judging.resume(policy)

    judging.await_messages(user, 1)
    judging.send("eve@far.test", [user[0]], HAM)
    assert len(judging.await_messages(user, 2)) == 2


def test_what_an_operator_has_held_waits_with_its_reason_until_it_is_let_go(judging: House) -> None:
    user = judging.account()
    entry = "/policy/access/*/header/Subject: invoice"
    judging.ask("PUT", entry, {"action": "hold", "comment": "looked at first"})
    octets = HAM.replace(b"hello", b"Invoice")
    how = {"sender": "eve@far.test", "recipient": user[0], "client": "127.0.0.1"}
    with demo.api(judging.demo) as client:  # policy hears of it within seconds
        eventually(
            lambda: client.post("/policy/explain", params=how, content=octets).json()["hold"], bool
        )

    judging.send("eve@far.test", [user[0]], octets)

    [waiting] = eventually(lambda: judging.ask("GET", "/queue?state=held")["items"], bool)
    assert (waiting["recipient"], waiting["reply"]) == (user[0], "looked at first")
    assert judging.messages(user) == []
    judging.ask("DELETE", entry)
    with demo.api(judging.demo) as client:
        client.post("/queue/release", json={"id": [waiting["id"]]}).raise_for_status()
    judging.await_messages(user, 1)
