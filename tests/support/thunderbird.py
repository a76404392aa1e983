"""Thunderbird without a screen, told by Marionette what to do, as Mozilla's own tests do.

The protocol: each message is its length, a colon and JSON; ``[0, n, name, parameters]`` is answered
by ``[1, n, error, result]``.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from onemachine.ports import LOOPBACK, free_ports
from support.clients import HOST, LETTERS, SECONDS_PER_LETTER, Desk
from support.stack import PATIENCE_SECONDS, eventually

_ORDERS = Path(__file__).parents[1] / "journeys/thunderbird/orders.js"
_WITHIN_SECONDS = PATIENCE_SECONDS + LETTERS * SECONDS_PER_LETTER
# Arguments of a script end with the function that takes its answer.
_RUN = """
const [order, ...given] = Array.from(arguments).slice(0, -1);
const answer = arguments[arguments.length - 1];
(async () => (await orders[order](...given)) ?? null)().then(
  result => answer({ result }), error => answer({ error: `${error} ${error?.stack}` }));
"""
_SETTINGS = """\
user_pref("marionette.port", %d);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mailnews.start_page.enabled", false);
user_pref("mailnews.start_page_override.mstone", "ignore");
user_pref("network.proxy.type", 0);
"""
_Answer = tuple[int, int, object, dict[str, object] | None]
_FROM_LINE = re.compile(rb"^From - [^\r\n]*\r\n", re.MULTILINE)
_MARKS = re.compile(rb"\A(?:X-Mozilla-[^\n]*\n)*")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


class Shown(msgspec.Struct, frozen=True, rename="camel"):
    """A line of the list of messages."""

    message_id: str
    size: int
    is_read: bool
    is_flagged: bool
    tags: str


class Thunderbird:
    """A running Thunderbird with one account; what it does stands in `orders.js`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._number = 0
        self._script = _ORDERS.read_text() + _RUN
        self._hear()  # its greeting
        self.call("WebDriver:NewSession")
        self.call("Marionette:SetContext", {"value": "chrome"})

    def do(self, order: str, *given: object) -> object:
        """Carry out an order; return its answer."""
        script = {
            "script": self._script,
            "args": [order, *given],
            "sandbox": "system",
            "scriptTimeout": _WITHIN_SECONDS * 1000,
        }
        told = self.call("WebDriver:ExecuteAsyncScript", script)["value"]
        assert isinstance(told, dict)
        assert "error" not in told, f"{order}: {told['error']}"
        return told["result"]

    def folders(self) -> list[str]:
        """Return the names of the account's folders."""
        return msgspec.convert(self.do("folders"), list[str])

    def shown(self) -> list[Shown]:
        """Return the list that is shown of INBOX."""
        return msgspec.convert(self.do("shown"), list[Shown])

    def kept(self) -> list[bytes]:
        """Wait until INBOX is in Thunderbird's own file; return its messages, without its marks.

        There each begins with a line ``From -``, is followed by an empty one, and has a ``>``
        before its lines that look so.
        """
        file = Path(msgspec.convert(self.do("keep"), str))
        _, *found = _FROM_LINE.split(file.read_bytes())
        return [
            _QUOTED_FROM.sub(rb"\1", _MARKS.sub(b"", octets)).removesuffix(b"\r\n")
            for octets in found
        ]

    def call(self, name: str, parameters: Mapping[str, object] | None = None) -> dict[str, object]:
        """Ask Marionette; an error is an error."""
        self._number += 1
        asked = msgspec.json.encode([0, self._number, name, parameters or {}])
        self._connection.sendall(b"%d:%b" % (len(asked), asked))
        _, _, error, result = msgspec.json.decode(self._hear(), type=_Answer)
        assert error is None, f"{name}: {error}"
        return result or {}

    def close(self) -> None:
        """Leave Marionette."""
        self._answers.close()
        self._connection.close()

    def _hear(self) -> bytes:
        length = b""
        while (octet := self._answers.read(1)) != b":":
            assert octet, "Thunderbird is gone"
            length += octet
        return self._answers.read(int(length))


@contextmanager
def thunderbird(desk: Desk) -> Iterator[Thunderbird]:
    """Start Thunderbird with an empty profile, and the account of ``desk`` in it; end it."""
    profile, words = desk.home / "profile", desk.home / "words"
    profile.mkdir()
    (port,) = free_ports(1)
    (profile / "user.js").write_text(_SETTINGS % port)
    argv = ["thunderbird", "--headless", "--no-remote", "--profile", str(profile)]
    with words.open("wb") as out:
        program = subprocess.Popen(
            [*argv, "--marionette", "-remote-allow-system-access"],
            env={"PATH": "/usr/bin:/bin", "HOME": str(desk.home)},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        connection = eventually(partial(_connected, port), lambda found: found is not None)
        assert connection is not None
        opened = Thunderbird(connection)
        try:
            opened.do("open", _account(desk))
            eventually(opened.folders, lambda names: {"INBOX", "Trash"} <= {*names})
            yield opened
        finally:
            opened.close()
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection((LOOPBACK, port), timeout=_WITHIN_SECONDS)
    except ConnectionRefusedError:
        return None


def _account(desk: Desk) -> dict[str, object]:
    user, password = desk.user
    pem = Path(desk.authority).read_text()
    return {
        "host": HOST,
        "port": desk.house.port("imaps"),
        "user": user,
        "password": password,
        "authority": "".join(line for line in pem.splitlines() if "-----" not in line),
    }
