"""Mail under load: senders that keep count of every 250, and the count at the other end."""

import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from onemachine.ports import LOOPBACK
from support.letters import letter
from support.stack import House

_SENDERS = 3
_PATIENCE_SECONDS = 20.0
_AFTER_TROUBLE_SECONDS = 0.05
_SUBJECT = re.compile(rb"^Subject: (load-\d+-\d+)\r?$", re.MULTILINE)


class Load:
    """Some senders, each with a session of its own, each letter with a subject of its own.

    A letter without a 250 is not sent again, so that a subject that arrives twice was doubled by
    the system. It may arrive all the same: the 250 can be lost on its way.

    Attributes:
        accepted: Subjects that were answered with 250 for all recipients.
        refused: How often something else happened.
    """

    def __init__(self, house: House, recipients: list[str]) -> None:
        self.accepted: list[str] = []
        self.refused = 0
        self._house = house
        self._recipients = recipients
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(_SENDERS)
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_accepted(self, more: int, within: float = 90.0) -> None:
        """Wait until ``more`` letters than now were accepted."""
        wanted, until = len(self.accepted) + more, time.monotonic() + within
        while len(self.accepted) < wanted:
            assert time.monotonic() < until, f"{len(self.accepted)} of {wanted} were accepted"
            time.sleep(_AFTER_TROUBLE_SECONDS)

    def _send(self, sender: int) -> None:
        count = 0
        while not self._stop.is_set():
            try:
                with smtplib.SMTP(
                    LOOPBACK, self._house.port("smtp"), timeout=_PATIENCE_SECONDS
                ) as client:
                    while not self._stop.is_set():
                        count += 1
                        self._send_one(client, f"load-{sender}-{count}")
            except (OSError, smtplib.SMTPException):
                self.refused += 1
                time.sleep(_AFTER_TROUBLE_SECONDS)

    def _send_one(self, client: smtplib.SMTP, subject: str) -> None:
        if client.sendmail("load@elsewhere.test", self._recipients, letter(subject)):
            self.refused += 1  # for some of them only
        else:
            self.accepted.append(subject)


@contextmanager
def under_load(house: House, recipients: list[str]) -> Iterator[Load]:
    """Send for the time of the block."""
    load = Load(house, recipients)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def subjects(messages: Iterable[bytes]) -> Counter[str]:
    """Count how often each subject of a load is among ``messages``."""
    found = (_SUBJECT.search(message.partition(b"\r\n\r\n")[0]) for message in messages)
    return Counter(match[1].decode() for match in found if match)


def nothing_lost(load: Load, arrived: Callable[[], Counter[str]]) -> Callable[[], str]:
    """Return a question: which accepted letters have not arrived? Empty when all have."""

    def question() -> str:
        missing = set(load.accepted) - set(arrived())
        return f"{len(missing)} of {len(load.accepted)} missing" if missing else ""

    return question
