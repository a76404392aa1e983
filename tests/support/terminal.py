"""A terminal for programs that ask people: what they show is read, keys are typed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from types import TracebackType

from support.clients import LETTERS, SECONDS_PER_LETTER, Desk

_CONTROL = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])|[\x00-\x08\x0e-\x1a]")
_AGAIN_SECONDS = 5.0
_WITHIN_SECONDS = 30.0 + LETTERS * SECONDS_PER_LETTER


class Terminal:
    """A program on a terminal of 24 lines."""

    def __init__(self, desk: Desk, *argv: str, **environment: str) -> None:
        self._argv = argv
        self._desk = desk
        self._environment = environment
        self._shown = b""
        self._pid = self._fd = 0

    def __enter__(self) -> Terminal:
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.chdir(self._desk.home)
            words = {
                "PATH": os.environ["PATH"],
                "HOME": str(self._desk.home),
                "TERM": "linux",
                "LINES": "24",
                "COLUMNS": "80",
                "SSL_CERT_FILE": self._desk.authority,
            }
            os.execvpe(self._argv[0], list(self._argv), words | self._environment)  # noqa: S606
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def await_text(self, *texts: str) -> None:
        """Wait until one of ``texts`` was shown, behind what was awaited before; fail with what was."""
        until = time.monotonic() + _WITHIN_SECONDS
        assert self._comes(texts, until), f"{texts} were not shown, but {self._words()[-4000:]}"

    def insist(self, key: str, *texts: str) -> None:
        """Press ``key`` until one of ``texts`` is shown, as people do.

        What is typed while a question is still being drawn, alpine throws away.
        """
        until = time.monotonic() + _WITHIN_SECONDS
        self.type(key)
        while not self._comes(texts, min(until, time.monotonic() + _AGAIN_SECONDS)):
            assert time.monotonic() < until, f"{key} did nothing: {self._words()[-4000:]}"
            self.type(key)

    def await_end(self) -> None:
        """Wait until the program has ended."""
        until = time.monotonic() + _WITHIN_SECONDS
        while self._read(until):
            pass
        ended, _ = os.waitpid(self._pid, os.WNOHANG)
        assert ended or time.monotonic() < until, f"has not ended: {self._words()[-4000:]}"
        if not ended:
            os.waitpid(self._pid, 0)
        self._pid = 0

    def _comes(self, texts: Sequence[str], until: float) -> bool:
        while not any(text in self._words() for text in texts):
            if not self._read(until):
                return False
        text = next(text for text in texts if text in self._words())
        self._shown = self._words().partition(text)[2].encode()
        return True

    def _words(self) -> str:
        return _CONTROL.sub(b" ", self._shown).decode(errors="replace")

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, until - time.monotonic()))
        try:
            found = os.read(self._fd, 65_536) if ready else b""
        except OSError:  # Linux: nobody has the other end open any more
            found = b""
        self._shown += found
        return bool(found)
