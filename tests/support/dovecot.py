"""Debian's Dovecot as a mail store: LMTP by TCP and by a UNIX socket, with quotas; IMAP and POP3."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from onemachine.certificates import Certificates
from onemachine.children import mortal
from onemachine.ports import free_ports

_CONF = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = lmtp{readers}
listen = 127.0.0.1
ssl = {ssl}
mail_location = {location}
first_valid_uid = 1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
mail_plugins = quota
disable_plaintext_auth = no
plugin {{
  quota = {quota}:User quota
  quota_vsizes = yes
}}
passdb {{
  driver = passwd-file
  args = username_format=%u {home}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {home}/users
}}
service anvil {{
  chroot =
}}
service lmtp {{
  unix_listener {home}/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""
_DOOR = """
service {name}-login {{
  chroot =
  inet_listener {name} {{
    port = {port}
  }}
  inet_listener {name}s {{
    port = {secure}
    ssl = yes
  }}
}}
"""
_READERS = """
namespace inbox {
  inbox = yes
  mailbox Gesendet {
    special_use = \\Sent
  }
}
protocol imap {
  mail_plugins = quota acl imap_acl
}
plugin {
  acl = vfile
}
"""
_LOCATIONS = {"maildir": "~/Maildir", "sdbox": "~/dbox", "mdbox": "~/dbox"}
PASSWORD = "unused"  # noqa: S105 - of users that live for one test


@dataclass(frozen=True, slots=True)
class Store:
    """A running Dovecot.

    Attributes:
        port: Where it speaks LMTP.
        socket: Likewise.
        home: With a folder per user.
        imap: Where it speaks IMAP, 0 if it does not.
        pop3: Where it speaks POP3, 0 if it does not.
        imaps: Where it does so by TLS, 0 if it does not.
        pop3s: Likewise.
    """

    port: int
    socket: Path
    home: Path
    imap: int = 0
    pop3: int = 0
    imaps: int = 0
    pop3s: int = 0

    def maildir(self, user: str) -> Path:
        """Return the Maildir of ``user``."""
        return self.home / "mail" / user / "Maildir"

    def messages(self, user: str) -> list[bytes]:
        """Return what has been delivered to ``user``."""
        files = sorted((self.maildir(user) / "new").glob("*"))
        return [file.read_bytes() for file in files]


@asynccontextmanager
async def dovecot(
    users: Mapping[str, str],
    *,
    has_readers: bool = False,
    storage: str = "maildir",
    tls: Certificates | None = None,
) -> AsyncIterator[Store]:
    """Run Dovecot with mailboxes of ``users``; the values are quota rules, empty for none.

    With ``has_readers`` they can be read by IMAP and POP3, with ``tls`` by TLS, too; all have the same
    `PASSWORD`. The ``storage`` is maildir, sdbox or mdbox.
    """
    home = Path(tempfile.mkdtemp(prefix="posthouse-dovecot-"))
    port, imap, pop3, imaps, pop3s = free_ports(5)
    owner = pwd.getpwnam("dovecot") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    home.chmod(0o755)
    for folder in ("run", "state", "mail"):
        (home / folder).mkdir()
    if os.geteuid() == 0:
        os.chown(home / "mail", owner.pw_uid, owner.pw_gid)
    lines = [
        f"{user}:{{PLAIN}}{PASSWORD}:{owner.pw_uid}:{owner.pw_gid}::{home}/mail/{user}::"
        + (f"userdb_quota_rule={rule}" if rule else "")
        for user, rule in users.items()
    ]
    (home / "users").write_text("\n".join(lines) + "\n")
    group = "dovecot" if os.geteuid() == 0 else str(owner.pw_gid)
    conf = home / "dovecot.conf"
    words = {
        "home": home,
        "port": port,
        "user": owner.pw_name,
        "group": group,
        "ssl": f"yes\nssl_cert = <{tls.chain}\nssl_key = <{tls.key}" if tls else "no",
        "location": f"{storage}:{_LOCATIONS[storage]}",
        "quota": "maildir" if storage == "maildir" else "count",
    }
    doors = [("imap", imap, imaps), ("pop3", pop3, pop3s)] if has_readers else []
    readers = "".join(f" {name}" for name, *_ in doors)
    text = "".join(
        _DOOR.format(name=name, port=plain, secure=secure if tls else 0)
        for name, plain, secure in doors
    )
    text += _READERS if has_readers else ""
    conf.write_text(_CONF.format(readers=readers, **words) + text)
    process = await asyncio.create_subprocess_exec(
        *mortal("/usr/sbin/dovecot", "-F", "-c", str(conf), ends_by=signal.SIGTERM)
    )
    try:
        for each in (port, *(number for _, number, _ in doors)):
            await _listening(each, process)
        yield Store(
            port,
            home / "lmtp",
            home,
            imap=imap if has_readers else 0,
            pop3=pop3 if has_readers else 0,
            imaps=imaps if has_readers and tls else 0,
            pop3s=pop3s if has_readers and tls else 0,
        )
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(home)


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
    raise AssertionError("Dovecot ended at its start")
