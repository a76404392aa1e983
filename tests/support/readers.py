"""Real programs that fetch whole mailboxes: each returns what it got, message by message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from support.clients import HOST, LETTERS, Desk
from support.corpus import corpus
from support.terminal import Terminal

SENT = corpus(LETTERS)  # what the INBOX of `library` holds
_IMAPFLOW = Path(__file__).parents[1] / "journeys/imapflow"
_FROM_LINES = re.compile(  # as alpine writes them, and no letter has
    rb"^From \S+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}(?: [+-]\d{4})?\n", re.MULTILINE
)


def unix(octets: bytes) -> bytes:
    """Return octets as programs keep them in files."""
    return octets.replace(b"\r\n", b"\n")


def without(names: bytes, octets: bytes) -> bytes:
    """Leave out header fields that a program adds to its copies."""
    return re.sub(rb"^(?:%b): .*\n(?:[ \t].*\n)*" % names, b"", octets, flags=re.MULTILINE)


def names(letters: Iterable[bytes]) -> list[bytes]:
    """Return the Message-IDs."""
    marks = [re.search(rb"^Message-ID: *(\S+)", octets, re.MULTILINE) for octets in letters]
    return sorted(mark[1] for mark in marks if mark)


def sums(letters: Iterable[bytes]) -> list[str]:
    """Return what tells whether two lots of letters are the same, in whatever order."""
    return sorted(sha256(octets).hexdigest() for octets in letters)


def fetchmail_keeping(desk: Desk, *, protocol: str) -> list[bytes]:
    """Fetch with fetchmail what it has not seen yet, leave it there; return all it ever got."""
    address, password = desk.user
    port = desk.house.port("pop3s" if protocol == "pop3" else "imaps")
    got = desk.home / "fetched"
    got.mkdir(exist_ok=True)
    uidl = "uidl" if protocol == "pop3" else ""
    config = desk.write(
        "fetchmailrc",
        f"""\
set invisible
poll {HOST} protocol {protocol} port {port} auth password {uidl}
  user "{address}" password "{password}" ssl sslcertfile {desk.authority} sslcertck
  keep no rewrite no mimedecode
  mda "sh -c 'cat > $(mktemp {got}/XXXXXXXX)'"
""",
    )
    desk.run(
        "fetchmail", "-f", config, "--nosyslog", "--nodetach", "-i", f"{desk.home}/seen", ok=(0, 1)
    )
    return [file.read_bytes() for file in got.iterdir()]


def imapflow(desk: Desk) -> list[dict[str, object]]:
    """Fetch everything of INBOX with npm's imapflow; return uid, size, sha256, subject of each."""
    address, password = desk.user
    order = {
        "host": HOST,
        "port": desk.house.port("imaps"),
        "auth": {"user": address, "pass": password},
        "authority": Path(desk.authority).read_text(),
    }
    told = desk.run("node", str(_IMAPFLOW / "fetch.mjs"), stdin=json.dumps(order).encode())
    found: list[dict[str, object]] = json.loads(told)
    return found


def alpine(desk: Desk) -> list[bytes]:
    """Open INBOX over IMAPS with alpine on a terminal, save all into a local folder; return it."""
    address, password = desk.user
    box = f"{{{HOST}:{desk.house.port('imaps')}/ssl/user={address}}}INBOX"
    config = desk.write(
        "pinerc",
        f"""\
personal-name=Anna
user-domain=example.test
inbox-path={box}
feature-list=enable-aggregate-command-set, quit-without-confirm, no-expunge-without-confirm,
 enable-suspend, no-enable-msg-view-urls, save-will-not-delete, quell-folder-internal-msg,
 quell-asterisks-in-passwords-prompts
last-time-prune-quest-asked=1500.1
last-version-used=6.26
""",
    )
    saved = desk.home / "kept"
    saved.touch()  # or it asks whether to make it
    with Terminal(desk, "alpine", "-nowrite_password_cache", "-p", config, "-i") as screen:
        screen.await_text("ENTER PASSWORD:")
        screen.type(password + "\r")
        screen.await_text("Preserve password on DISK")
        screen.await_text("No")
        screen.insist("n", f"of {LETTERS:,}")  # Message 1 of 5,000
        screen.type(";")
        screen.await_text("SELECT criteria")
        screen.type("a")
        screen.await_text("elected")
        screen.type("as")
        screen.await_text("SAVE")
        screen.type("\x15" + str(saved) + "\r")
        screen.await_text("messages saved]", "DONE]")
        screen.type("q")
        screen.await_end()
    return [message for message in _FROM_LINES.split(saved.read_bytes()) if message]
