"""The classifier from end to end: trained from files, it puts mail into Junk, until who reads it says otherwise."""

from __future__ import annotations

import imaplib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support import junk_mail
from support.stack import House, eventually

pytestmark = pytest.mark.journey

MANY = 200  # POSTHOUSE_BAYES_MESSAGES_MIN
# Words that stand in one message of spam, and in nothing else.
ODD = " ".join(f"zeppelin{chr(97 + n)} gondola{chr(97 + n)}" for n in range(20))
LETTER = f"From: <captain@air.test>\r\nSubject: {ODD[:19]}\r\n\r\n{ODD}\r\n".encode()


def _learning(house: House, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [Path(sys.executable).parent / "posthouse", "policy", "bayes", "learn", *arguments],
        env={
            "POSTHOUSE_API_URL": house.demo.api_url,
            "POSTHOUSE_API_TOKEN": house.demo.api_token,
            "COLUMNS": "200",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def _mbox(path: Path, messages: Sequence[bytes]) -> Path:
    texts = (each.replace(b"\r\n", b"\n").rstrip(b"\n") for each in messages)
    path.write_bytes(b"".join(b"From x\n%b\n\n" % text for text in texts))
    return path


def _maildir(path: Path, messages: Sequence[bytes]) -> Path:
    (path / "cur").mkdir(parents=True)
    for number, each in enumerate(messages):
        (path / "cur" / f"{number}.x:2,S").write_bytes(each.replace(b"\r\n", b"\n"))
    return path


def _count(client: imaplib.IMAP4, mailbox: str) -> int:
    kind, data = client.status(mailbox, "(MESSAGES)")
    return int(data[0].split()[-1].rstrip(b")")) if kind == "OK" and data[0] else 0


def _arrives(house: House, client: imaplib.IMAP4, address: str) -> str:
    """Send it once more; return the mailbox that it is found in."""
    before = {mailbox: _count(client, mailbox) for mailbox in ("INBOX", "Junk")}
    house.send("captain@air.test", [address], LETTER)
    return eventually(
        lambda: next((each for each, was in before.items() if _count(client, each) > was), ""), bool
    )


@pytest.fixture
def user(house: House) -> Iterator[tuple[str, str]]:
    """An account in a house where certain spam goes to Junk; afterwards all is as it was."""
    made = house.account()
    rules = {"files": [{"text": "score BAYES_99 8"}]}  # more than its own 3.5 points
    house.ask("PUT", "/policy/rule-sets/bayes", json=rules)
    house.ask("PUT", "/policy/rule-sets/bayes/state", json={"state": "live"})
    yield made
    house.ask("DELETE", "/policy/rule-sets/bayes")
    house.ask("DELETE", f"/policy/bayes/{made[0]}")


def test_what_was_trained_goes_to_junk_until_its_reader_moves_it_out(
    house: House, user: tuple[str, str], tmp_path: Path
) -> None:
    spam = _mbox(tmp_path / "spam", [*junk_mail.spam(MANY - 1), LETTER])
    ham = _maildir(tmp_path / "ham", list(junk_mail.ham(MANY)))
    teachers = [
        _learning(house, "--spam", str(spam), "--user", user[0]),
        _learning(house, "--ham", str(ham), "--user", user[0]),
    ]
    learned = [each.communicate()[0].split(",")[0] for each in teachers]
    assert learned == [f"{MANY} learned"] * 2

    with house.imap(user) as client:
        eventually(lambda: _arrives(house, client, user[0]), lambda where: where == "Junk")
        client.select("Junk")
        junk = house.messages(user, "Junk")
        assert client.uid("MOVE", "1:*", "INBOX")[0] == "OK"
        (own,) = eventually(
            lambda: [
                each
                for each in house.ask("GET", "/policy/bayes?limit=1000")["items"]
                if each["address"] == user[0]
            ],
            lambda found: found[0]["ham"] > MANY,
        )
        eventually(lambda: _arrives(house, client, user[0]), lambda where: where == "INBOX")

    assert b"X-Spam-Flag: YES\r\n" in junk[0]
    assert b"tests=BAYES_99,BAYES_999\r\n" in junk[0]
    # However often it was sent, it is the same message: it counts once, as what was said last.
    assert (own["spam"], own["ham"]) == (MANY - 1, MANY + 1)
    assert b"BAYES_99" not in house.messages(user)[-1]
