"""The peer: Debian's Postfix handing over to Dovecot by LMTP, private, on loopback; needs root.

As shipped for durability (Postfix syncs each queue file before its 250, Dovecot
``mail_fsync=optimized``), with client limits out of the way. What it does not do, and Posthouse
does: TLS is not offered, passwords are not hashed, nothing is traced in a database.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ground import ground
from bench.system import Unfit
from onemachine.ports import LOOPBACK, free_ports

PACKAGES = ("postfix", "dovecot-core", "dovecot-lmtpd")
START_SECONDS = 30.0
_MAILBOX_FOLDERS = ("new", "cur")
_OWNER = "dovecot"  # any unprivileged user will do; this one comes with the package

_MAIN_CF = """
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/maillog
maillog_file_prefixes = {home}
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
biff = no
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = hash:{home}/etc/mailboxes
virtual_transport = lmtp:unix:{home}/dovecot/run/lmtp
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
smtpd_tls_security_level = none
default_process_limit = 100
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
message_size_limit = 52428800
virtual_mailbox_limit = 0
mailbox_size_limit = 0
"""

_DOVECOT_CONF = """
base_dir = {home}/dovecot/run
state_dir = {home}/dovecot/state
log_path = {home}/dovecot.log
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:~/Maildir
first_valid_uid = 1
passdb {{
  driver = static
  args = password=unused
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%n allow_all_users=yes
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Postfix and Dovecot, running.

    Attributes:
        name: How the table calls it.
        port: Where Postfix takes mail.
        processes: The roots of its process trees.
        mail: The folder with a folder per user.
    """

    name: str
    port: int
    processes: Mapping[str, int]
    mail: Path

    async def delivered(self) -> int:
        """Return how many messages lie in all mailboxes."""
        return await asyncio.to_thread(_count, self.mail)


def _count(mail: Path) -> int:
    total = 0
    for user in os.scandir(mail):
        for folder in _MAILBOX_FOLDERS:
            try:
                total += len(os.listdir(f"{user.path}/Maildir/{folder}"))  # noqa: PTH208 - speed
            except FileNotFoundError:
                continue
    return total


@asynccontextmanager
async def peer(
    domain: str,
    users: Sequence[str],
    say: Callable[[str], None],
    next_hop: int | None = None,
) -> AsyncIterator[Peer]:
    """Run Postfix and Dovecot for ``users`` of ``domain`` while inside.

    Mail from here to elsewhere goes to the port ``next_hop`` on loopback, if there is one.

    Raises:
        Unfit: If they are not installed, or this is not root.
    """
    _demand()
    (port,) = free_ports(1)
    with ground(say) as home:
        try:
            _lay_out(home, domain, users, port)
            if next_hop is not None:
                with (home / "etc/main.cf").open("a") as settings:
                    settings.write(f"relayhost = [{LOOPBACK}]:{next_hop}\n")
            await _run("postmap", f"hash:{home}/etc/mailboxes")
            await _run("dovecot", "-c", f"{home}/etc/dovecot.conf")
            await _run("postfix", "-c", f"{home}/etc", "start")
            await _listening(port)
            processes = {
                "postfix": int((home / "spool/pid/master.pid").read_text()),
                "dovecot": int((home / "dovecot/run/master.pid").read_text()),
            }
            yield Peer(name="Postfix + Dovecot", port=port, processes=processes, mail=home / "mail")
        finally:
            await _run("postfix", "-c", f"{home}/etc", "stop", must=False)
            await _run("doveadm", "-c", f"{home}/etc/dovecot.conf", "stop", must=False)


def _demand() -> None:
    if missing := [name for name in ("postfix", "dovecot") if shutil.which(name) is None]:
        raise Unfit(
            f"{' and '.join(missing)} not installed: "
            f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
        )
    if os.geteuid() != 0:
        raise Unfit("Postfix starts only as root")


def _lay_out(home: Path, domain: str, users: Sequence[str], port: int) -> None:
    home.chmod(0o755)  # its users must get in
    owner, postfix = pwd.getpwnam(_OWNER), pwd.getpwnam("postfix")
    for folder in ("etc", "spool", "data", "mail", "dovecot/run", "dovecot/state"):
        (home / folder).mkdir(parents=True)
    os.chown(home / "data", postfix.pw_uid, postfix.pw_gid)
    os.chown(home / "mail", owner.pw_uid, owner.pw_gid)
    etc = home / "etc"
    (etc / "main.cf").write_text(_MAIN_CF.format(home=home, domain=domain))
    (etc / "master.cf").write_text(_master_cf(port))
    (etc / "mailboxes").write_text("".join(f"{user} x\n" for user in users))
    conf = _DOVECOT_CONF.format(home=home, uid=owner.pw_uid, gid=owner.pw_gid)
    (etc / "dovecot.conf").write_text(conf)


def _master_cf(port: int) -> str:
    """Return Debian's table of programs without chroot, with one listener on our port."""
    lines = []
    for line in Path("/usr/share/postfix/master.cf.dist").read_text().splitlines():
        fields = line.split()
        if line[:1] in {"", "#", " ", "\t"} or fields[:2] == ["smtp", "inet"]:
            continue
        fields[4] = "n"  # chroot
        lines.append("\t".join(fields))
    lines.append(f"127.0.0.1:{port} inet n - n - - smtpd")
    return "\n".join(lines) + "\n"


async def _run(*command: str, must: bool = True) -> None:
    # A file, not a pipe: the daemons keep what they inherit open.
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        if await process.wait() and must:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            raise Unfit(f"{' '.join(command)}: {said}")


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
