"""Debian's clamd, spamd and rspamd, each in a folder of its own, with tiny signatures and rules of ours."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from onemachine.children import mortal
from onemachine.ports import LOOPBACK, free_ports
from policy_engine.content.case import Case
from policy_engine.scanners.assembling import scanners
from policy_engine.scanners.scanner import Scanner
from policy_engine.settings import PolicySettings
from posthouse.blobs import Blobs

# In halves, so that no scanner finds this file.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE" + "-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
VIRUS = "For-Tests.Eicar"  # what clamd calls it
CLAMD_OCTETS = 1024 * 1024  # it takes no larger stream
PASSWORD = "of the controller"  # noqa: S105 - of an rspamd that lives for a test
_UP_WITHIN_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.05

_CLAMD = """
Foreground yes
DatabaseDirectory {home}
LocalSocket {home}/socket
TCPSocket {port}
TCPAddr 127.0.0.1
StreamMaxLength {octets}
"""
_SPAMD_PLUGINS = "loadplugin Mail::SpamAssassin::Plugin::Check\n"
_SPAMD_RULES = f"""
body GTUBE /{GTUBE.replace("*", chr(92) + "*").replace(".", chr(92) + ".")}/
score GTUBE 1000
header FOR_TESTS Subject =~ /pills/
score FOR_TESTS 3.2
header FRIENDLY Subject =~ /friend/
score FRIENDLY -1.5
"""
_RSPAMD = """
options {{
  filters = "";
  tempdir = "{home}";
  pidfile = "{home}/pid";
  control_socket = "{home}/control mode=0600";
  disable_hyperscan = true;
  max_message = 1M;
  url_tld = "{home}/tlds";
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 0; }}
}}
logging {{ type = "console"; level = "warning"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
lua = "{home}/rules.lua";
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; bind_socket = "{home}/socket mode=0666"; count = 1; }}
worker "controller" {{ bind_socket = "127.0.0.1:{second}"; count = 1; password = "{password}"; secure_ip = ""; }}
"""
_RSPAMD_RULES = """
local function of_subject(name, score, word)
  rspamd_config:register_symbol{name = name, score = score, callback = function(task)
    return string.find(task:get_subject() or '', word) ~= nil
  end}
end
of_subject('FOR_TESTS', 3.2, 'pills')
of_subject('MUCH_FOR_TESTS', 7.5, 'many')
of_subject('FRIENDLY', -1.5, 'friend')
rspamd_config:register_symbol{name = 'KNOWS_ALL', score = 0.5, callback = function(task)
  return tostring(task:get_from_ip()) == '192.0.2.1' and task:get_helo() == 'mx.example.org'
    and task:get_from('smtp')[1].addr == 'joe@example.org' and task:get_user() == nil
    and #task:get_recipients('smtp') == 2 and task:get_queue_id() ~= nil
end}
rspamd_config:register_symbol{name = 'LATER', score = 0, callback = function(task)
  if string.find(task:get_subject() or '', 'grey') then
    task:set_pre_result('soft reject', 'come again')
  end
end}
"""


@dataclass(slots=True)
class Daemon:
    """A running scanner.

    Attributes:
        port: Where it listens.
        socket: Likewise.
        second: Another port: rspamd's controller, which wants the `PASSWORD`.
        process: Its first process, the leader of the group of the others.
    """

    port: int
    socket: Path
    second: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """The port as it stands in settings."""
        return f"{LOOPBACK}:{self.port}"

    def kill(self) -> None:
        """End all of it at once, if it still runs, and wait until it has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def freeze(self) -> None:
        """Let it do nothing any more; what connects waits."""
        os.killpg(self.process.pid, signal.SIGSTOP)


def case_of(octets: bytes, *, size: int | None = None, blob: str = "") -> Case:
    """Return a case of a stranger's message, of which ``octets`` are seen."""
    return Case(
        id=uuid4(),
        client="192.0.2.1",
        hello="mx.example.org",
        sender="joe@example.org",
        recipients=("anna@example.test", "bert@example.test"),
        octets=octets,
        size=len(octets) if size is None else size,
        blob=blob,
    )


def only_scanner(blobs: Blobs, **told: object) -> Scanner:
    """Return the one scanner of these settings."""
    needed = {
        "database_url": "postgresql://u:p@h/d",
        "broker_url": "amqp://u:p@h/v",
        "store": "disk:/nowhere",
        "hostname": "mx.example.test",
    }
    (found,) = scanners(PolicySettings.model_validate({**needed, **told}), blobs)
    return found


@contextmanager
def clamd(port: int = 0) -> Iterator[Daemon]:
    """Run ClamAV with one signature: `EICAR`, anywhere in a file; at a free port, or at ``port``."""
    with _home() as home:
        # AppArmor names the program by its path, and lets it see only its own folders.
        program = str(shutil.copy("/usr/sbin/clamd", home / "clamd"))
        (home / "for-tests.ndb").write_text(f"{VIRUS}:0:*:{EICAR.encode().hex()}\n")
        port = port or free_ports(1)[0]
        configuration = home / "clamd.conf"
        configuration.write_text(_CLAMD.format(home=home, port=port, octets=CLAMD_OCTETS))
        with _running([program, "-c", str(configuration)], home, port) as daemon:
            yield daemon


@contextmanager
def spamd() -> Iterator[Daemon]:
    """Run SpamAssassin with three rules, none of which asks the network."""
    with _home() as home:
        rules, site = home / "rules", home / "site"
        rules.mkdir()
        site.mkdir()
        (site / "for_tests.pre").write_text(_SPAMD_PLUGINS)
        shutil.copy("/usr/share/spamassassin/10_default_prefs.cf", rules)  # the report's template
        (rules / "for_tests.cf").write_text(_SPAMD_RULES)
        (port,) = free_ports(1)
        argv = [
            "/usr/sbin/spamd", "--local", "--nouser-config", "--syslog=stderr", "--min-children=1",
            "--max-children=2", f"--listen={LOOPBACK}:{port}", f"--listen={home}/socket",
            f"--configpath={rules}", f"--siteconfigpath={site}",
        ]  # fmt: skip
        with _running(argv, home, port, user="nobody", env={"HOME": str(home)}) as daemon:
            yield daemon


@contextmanager
def rspamd() -> Iterator[Daemon]:
    """Run rspamd with some symbols of ours, none of which asks the network."""
    with _home() as home:
        port, second = free_ports(2)
        words = {"home": home, "port": port, "second": second, "password": PASSWORD}
        configuration = home / "rspamd.conf"
        configuration.write_text(_RSPAMD.format_map(words))
        (home / "rules.lua").write_text(_RSPAMD_RULES)
        (home / "tlds").write_text("test\n")
        argv = ["/usr/bin/rspamd", "--no-fork", "--config", str(configuration)]
        argv += ["--insecure"] if os.geteuid() == 0 else []
        with _running(argv, home, port, second=second) as daemon:
            yield daemon


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="posthouse-scanner-") as folder:
        home = Path(folder)
        home.chmod(0o777)  # spamd is nobody
        yield home


@contextmanager
def _running(
    argv: Sequence[str],
    home: Path,
    port: int,
    *,
    second: int = 0,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            mortal(*argv, user=user, ends_by=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        for each in filter(None, (port, second)):
            _await_door(each, process, home / "log")
        yield Daemon(port, home / "socket", second, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_door(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _UP_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            time.sleep(_LOOK_EVERY_SECONDS)
        else:
            return
    raise AssertionError(f"it did not come up:\n{log.read_text()[-2000:]}")
