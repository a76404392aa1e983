"""The outside world: a name server, and postfix's smtp-sink behind any number of names.

All mail servers listen on the same port of different loopback addresses, as those of the real
world listen on port 25 of theirs.
"""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from onemachine.children import mortal
from onemachine.ports import free_ports
from support.dns_zone import Zone, serve_zone
from support.scripted_smtp import Peer, scripted
from support.stack import PATIENCE_SECONDS, eventually

_NOBODY = "nobody"


class Sink:
    """One smtp-sink, which keeps what it was given in a folder."""

    def __init__(self, address: str, port: int, folder: Path) -> None:
        self.address = address
        self._port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *behaviour: str) -> None:
        """Listen; ``behaviour`` is smtp-sink's own: ``-r rcpt`` refuses softly, ``-f`` hard."""
        self._folder.mkdir(exist_ok=True)
        argv = ["smtp-sink", "-d", f"{self._folder}/%s.", *behaviour]
        if os.geteuid() == 0:  # it does not want to be root
            shutil.chown(self._folder, _NOBODY)
        self._process = subprocess.Popen(
            mortal(*argv, f"{self.address}:{self._port}", "100", user=_NOBODY),
            env={"PATH": os.environ["PATH"] + ":/usr/sbin"},
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers, bool, within=10)

    def stop(self) -> None:
        """End it; its port is closed then."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def letters(self) -> list[Message]:
        """Return what it was given; X-Mail-Args and X-Rcpt-Args tell the envelope.

        A file without a subject is a letter under way, or one that broke off.
        """
        files = sorted(self._folder.iterdir())
        return [one for one in map(_read, files) if one["Subject"]]

    def await_letters(self, count: int = 1, within: float = PATIENCE_SECONDS) -> list[Message]:
        """Return the letters as soon as there are ``count``."""
        return eventually(self.letters, lambda found: len(found) >= count, within)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.address, self._port)) == 0


def _read(file: Path) -> Message:
    return message_from_bytes(file.read_bytes())


class OutsideWorld:
    """The name server in a thread of its own, and the mail servers it tells of."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.folder = Path(tempfile.mkdtemp(prefix="posthouse-world-"))
        self.folder.chmod(0o755)
        self._addresses = itertools.count(2)
        self._sinks: list[Sink] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._serving = serve_zone({})
        self._zone: Zone = asyncio.run_coroutine_threadsafe(
            self._serving.__aenter__(), self._loop
        ).result()

    @property
    def settings(self) -> Mapping[str, str]:
        """What a house is told to live in this world and to be quick about it."""
        return {
            "POSTHOUSE_NAMESERVERS": self._zone.nameservers,
            "POSTHOUSE_REMOTE_PORT": str(self.port),
            "POSTHOUSE_REMOTE_OURS": "mail.example.test",  # the world lives on loopback
            "POSTHOUSE_REMOTE_TIMEOUT": "5s",
            "POSTHOUSE_RETRY_DELAYS": "5s",
            "POSTHOUSE_FEEDBACK_ADDRESS": "fbl@example.test",
        }

    def server(self) -> Sink:
        """Return a new mail server on an address of its own; it does not listen yet."""
        number = next(self._addresses)
        sink = Sink(f"127.0.0.{number}", self.port, self.folder / str(number))
        self._sinks.append(sink)
        return sink

    def domain(self, name: str, *servers: Sink) -> None:
        """Publish MX records of ``name``: the first server is preferred, and so on."""
        hosts = {f"mx{n}.{name}": [f"A {sink.address}"] for n, sink in enumerate(servers)}
        exchanges = {name: [f"MX {10 * n} mx{n}.{name}" for n in range(len(servers))]}
        self._zone.records.update(exchanges | hosts)

    @contextmanager
    def scripted(self, place: Sink, **said: str) -> Iterator[Peer]:
        """Have a server answer at ``place`` by a script (`support.scripted_smtp`)."""
        serving = scripted(said, port=self.port, host=place.address)
        peer = asyncio.run_coroutine_threadsafe(serving.__aenter__(), self._loop).result()
        try:
            yield peer
        finally:
            asyncio.run_coroutine_threadsafe(
                serving.__aexit__(None, None, None), self._loop
            ).result()

    def publish(self, records: Mapping[str, Sequence[str]]) -> None:
        """Have the name server know these, as `support.dns_zone` writes them."""
        self._zone.records.update({name: list(lines) for name, lines in records.items()})

    def close(self) -> None:
        """End everything."""
        for sink in self._sinks:
            sink.stop()
        asyncio.run_coroutine_threadsafe(
            self._serving.__aexit__(None, None, None), self._loop
        ).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.folder)
