"""The classifier from end to end: trained from files, it puts mail into Junk, until who reads it says otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import junk_mail
from support.stack import House, eventually

pytestmark = pytest.mark.journey

MANY = 200  # POSTHOUSE_BAYES_MESSAGES_MIN
# Words that stand in one message of spam, and in nothing else.
ODD = " ".join(f"zeppelin{chr(97 + n)} gondola{chr(97 + n)}" for n in range(20))
LETTER = f"From: <captain@air.test>\r\nSubject: {ODD[:19]}\r\n\r\n{ODD}\r\n".encode()


def _posthouse(house: House, *arguments: str) -> str:
    return subprocess.run(
        [Path(sys.executable).parent / "posthouse", "policy", *arguments],
        env={
            "POSTHOUSE_API_URL": house.demo.api_url,
            "POSTHOUSE_API_TOKEN": house.demo.api_token,
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _mbox(path: Path, messages: Sequence[bytes]) -> Path:
    texts = (each.replace(b"\r\n", b"\n").rstrip(b"\n") for each in messages)
    path.write_bytes(b"".join(b"From x\n%b\n\n" % text for text in texts))
    return path


def _maildir(path: Path, messages: Sequence[bytes]) -> Path:
    (path / "cur").mkdir(parents=True)
    for number, each in enumerate(messages):
        (path / "cur" / f"{number}.x:2,S").write_bytes(each.replace(b"\r\n", b"\n"))
    return path


def test_what_was_trained_goes_to_junk_until_its_reader_moves_it_out(
    house: House, tmp_path: Path
) -> None:
    user = house.account()
    spam = _mbox(tmp_path / "spam", [*junk_mail.spam(MANY - 1), LETTER])
    ham = _maildir(tmp_path / "ham", list(junk_mail.ham(MANY)))
    (tmp_path / "bayes.cf").write_text("score BAYES_99 8\n")  # more than its own 3.5

    def arrived(mailbox: str) -> list[bytes]:
        """Send it once more, and see what is in ``mailbox`` when it has arrived."""
        before = len(house.messages(user)) + len(house.messages(user, "Junk"))
        house.send("captain@air.test", [user[0]], LETTER)
        eventually(
            lambda: len(house.messages(user)) + len(house.messages(user, "Junk")),
            lambda count: count > before,
        )
        return house.messages(user, mailbox)

    _posthouse(house, "rules", "import", str(tmp_path / "bayes.cf"))
    _posthouse(house, "rules", "activate", "bayes")
    learned = [
        _posthouse(house, "bayes", "learn", "--spam", str(spam), "--user", user[0]),
        _posthouse(house, "bayes", "learn", "--ham", str(ham), "--user", user[0]),
    ]
    assert [each.split(",")[0] for each in learned] == [f"{MANY} learned"] * 2
    junk = eventually(lambda: arrived("Junk"), bool)

    assert b"X-Spam-Flag: YES\r\n" in junk[0]
    assert b"tests=BAYES_99,BAYES_999\r\n" in junk[0]

    with house.imap(user) as client:
        client.select("Junk")
        assert client.uid("MOVE", "1:*", "INBOX")[0] == "OK"
    (ham_of_anna,) = eventually(
        lambda: [
            each["ham"]
            for each in house.ask("GET", "/policy/bayes?limit=1000")["items"]
            if each["address"] == user[0]
        ],
        lambda found: found[0] > MANY,
    )
    before = len(house.messages(user))

    assert ham_of_anna == MANY + 1  # however often it was sent: it is the same message
    eventually(lambda: len(arrived("INBOX")), lambda count: count > before)
    assert b"BAYES_99" not in house.messages(user)[-1]
