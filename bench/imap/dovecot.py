"""The peer: Debian's Dovecot as shipped, with Maildir or sdbox, private, on loopback; needs root.

What it does not do, and Posthouse does: passwords are not hashed, nothing is traced in a database.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.ground import ground
from bench.system import Unfit
from onemachine.ports import LOOPBACK, free_ports

PASSWORD = "pw"  # noqa: S105 - of a server that lives for one measurement
START_SECONDS = 30.0
_OWNER = "dovecot"  # any unprivileged user will do; this one comes with the package

_CONF = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = {kind}:~/{kind}
mail_max_userip_connections = 10000
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dovecot:
    """One that runs.

    Attributes:
        name: How the table calls it.
        port: Where it speaks IMAP.
        processes: The root of its process tree.
    """

    name: str
    port: int
    processes: Mapping[str, int]
    password: str = PASSWORD

    async def renew(self) -> None:
        """Every connection has a process of its own: nothing to do."""

    async def rest(self) -> None:
        """It does nothing behind its answers."""


@asynccontextmanager
async def dovecot(
    kind: Literal["maildir", "sdbox"], say: Callable[[str], None]
) -> AsyncIterator[Dovecot]:
    """Run Dovecot while inside; raise `Unfit` if it is not installed, or this is not root."""
    if shutil.which("dovecot") is None or os.geteuid() != 0:
        raise Unfit("Dovecot is measured by root, after: apt-get install dovecot-imapd")
    (port,) = free_ports(1)
    owner = pwd.getpwnam(_OWNER)
    with ground(say) as home:
        home.chmod(0o755)  # its users must get in
        for folder in ("mail", "run", "state"):
            (home / folder).mkdir()
        os.chown(home / "mail", owner.pw_uid, owner.pw_gid)
        conf = home / "dovecot.conf"
        conf.write_text(
            _CONF.format(
                home=home,
                kind=kind,
                password=PASSWORD,
                uid=owner.pw_uid,
                gid=owner.pw_gid,
                port=port,
            )
        )
        await _run("dovecot", "-c", str(conf))
        try:
            await _listening(port)
            master = await asyncio.to_thread(_pid, home / "run/master.pid")
            yield Dovecot(name=f"Dovecot, {kind}", port=port, processes={"dovecot": master})
        finally:
            await _run("doveadm", "-c", str(conf), "stop")
            await asyncio.to_thread(_gone, home / "run/master.pid")


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise Unfit(f"{' '.join(command)} ended with {process.returncode}")


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


def _pid(file: Path) -> int:
    until = time.monotonic() + START_SECONDS
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return int(file.read_text())


def _gone(pid_file: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while pid_file.exists() and time.monotonic() < until:
        time.sleep(0.1)
