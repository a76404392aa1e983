"""What is measured, row by row, on one system; a process of its own, so that its work is not theirs.

Prints a JSON line for each row: its name, the seconds that the client waited, and the processor
seconds of the system meanwhile, as far as its processes live on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench import processor
from bench.imap.client import Client, exists
from bench.imap.letters import NAME, RARE, letters

MAILBOX = "INBOX"
APPENDED = 500
SOME = 1000  # messages that are stored to, copied, moved, expunged
SINGLE = 200

AIMS = {  # milliseconds, for 10,000 messages of 4 KiB; the rows in their order
    "connect, LOGIN, SELECT, first": 35.0,
    "connect, LOGIN, SELECT": 2.0,
    "FETCH 1:* (FLAGS UID)": 3.0,
    "FETCH 1:* (ENVELOPE RFC822.SIZE), first": 80.0,
    "FETCH 1:* (ENVELOPE RFC822.SIZE)": 20.0,
    "FETCH 1:200 (BODY.PEEK[])": 5.0,
    "200 single UID FETCH (BODY.PEEK[])": 12.0,
    "SEARCH FROM": 10.0,
    "SEARCH TEXT, a rare word": 80.0,
    "STORE 1:1000 +FLAGS": 5.0,
    "STORE 1:1000 -FLAGS.SILENT": 5.0,
    "UID STORE of 1,000, every other": 10.0,
    "COPY 1:1000": 10.0,
    "APPEND of 500, one by one": 450.0,
    "MOVE 1:1000": 8.0,
    "EXPUNGE of 1,000": 5.0,
}


# Without an aim, and in no sum: once in the life of a message.
FIRST_SEARCHES = ("the first SEARCH FROM of all", "the first SEARCH TEXT of all")


class Watch:
    """Takes the time of rows."""

    def __init__(self, roots: dict[str, int]) -> None:
        self._roots = roots

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        before = processor.used_exactly(self._roots)
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        spent = max(processor.used_exactly(self._roots) - before, 0.0)
        sys.stdout.write(json.dumps({"row": name, "seconds": seconds, "processor": spent}) + "\n")


def first(connect: Callable[[], Client], watch: Watch) -> None:
    """What a process that has just started must read for the first time."""
    with watch.row("connect, LOGIN, SELECT, first"):
        client = connect()
        client.say(f"SELECT {MAILBOX}")
    with client, watch.row("FETCH 1:* (ENVELOPE RFC822.SIZE), first"):
        client.say("FETCH 1:* (ENVELOPE RFC822.SIZE)")


def search_first(connect: Callable[[], Client], watch: Watch) -> None:
    """What the very first searches in a mailbox cost: nobody has looked for texts in it before."""
    with connect() as client:
        client.say(f"SELECT {MAILBOX}")
        with watch.row(FIRST_SEARCHES[0]):
            client.say(f'SEARCH FROM "{NAME.lower()}"')
        with watch.row(FIRST_SEARCHES[1]):
            client.say(f'SEARCH TEXT "{RARE}"')


def read(connect: Callable[[], Client], watch: Watch) -> None:
    """What readers do."""
    with watch.row("connect, LOGIN, SELECT"):
        client = connect()
        answer = client.say(f"SELECT {MAILBOX}")
    step = exists(answer) // SINGLE
    with client:
        for command in (
            "FETCH 1:* (FLAGS UID)",
            "FETCH 1:* (ENVELOPE RFC822.SIZE)",
            "FETCH 1:200 (BODY.PEEK[])",
        ):
            with watch.row(command):
                client.say(command)
        with watch.row("200 single UID FETCH (BODY.PEEK[])"):
            for n in range(1, SINGLE + 1):
                client.say(f"UID FETCH {n * step} (BODY.PEEK[])")
        with watch.row("SEARCH FROM"):
            client.say(f'SEARCH FROM "{NAME.lower()}"')
        with watch.row("SEARCH TEXT, a rare word"):
            client.say(f'SEARCH TEXT "{RARE}"')


def write(connect: Callable[[], Client], watch: Watch, seed: int) -> None:
    """What they change; the mailbox is as before in the end."""
    with connect() as client:
        client.say(f"SELECT {MAILBOX}")
        copies, moved = f"copies-{seed}", f"moved-{seed}"
        client.say(f"CREATE {copies}")
        client.say(f"CREATE {moved}")
        with watch.row("STORE 1:1000 +FLAGS"):
            client.say("STORE 1:1000 +FLAGS (\\Flagged)")
        with watch.row("STORE 1:1000 -FLAGS.SILENT"):
            client.say("STORE 1:1000 -FLAGS.SILENT (\\Flagged)")
        others = ",".join(str(2 * n + 1) for n in range(SOME))
        with watch.row("UID STORE of 1,000, every other"):
            client.say(f"UID STORE {others} +FLAGS.SILENT (\\Flagged)")
        client.say("STORE 1:* -FLAGS.SILENT (\\Flagged)")
        with watch.row("COPY 1:1000"):
            client.say(f"COPY 1:{SOME} {copies}")
        appended = letters(APPENDED, seed)
        with watch.row("APPEND of 500, one by one"):
            for letter in appended:
                client.append(copies, letter)
        client.say(f"SELECT {copies}")
        with watch.row("MOVE 1:1000"):
            client.say(f"MOVE 1:{SOME} {moved}")
        client.say(f"SELECT {moved}")
        client.say("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        with watch.row("EXPUNGE of 1,000"):
            client.say("EXPUNGE")
        client.say("UNSELECT")
        client.say(f"DELETE {copies}")
        client.say(f"DELETE {moved}")


def main() -> None:
    """Fill a mailbox, or measure one round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--fill", type=int, default=0, metavar="MESSAGES")
    parser.add_argument("--first", action="store_true", help="the process has just started")
    parser.add_argument("--round", type=int, default=0)
    parser.add_argument("roots", nargs="*", metavar="NAME=PID")
    given = parser.parse_args()
    pairs = (root.split("=") for root in given.roots)
    watch = Watch({name: int(pid) for name, pid in pairs})

    def connect() -> Client:
        return Client(given.port, given.user, given.password)

    if given.fill:
        with connect() as client:
            client.fill(MAILBOX, letters(given.fill, seed=7))
    elif given.first:
        first(connect, watch)
        if given.round == 0:
            search_first(connect, watch)
    else:
        read(connect, watch)
        write(connect, watch, seed=1000 + given.round)


if __name__ == "__main__":
    main()
