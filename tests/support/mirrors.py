"""Real programs that keep whole accounts the same in two places."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onemachine.ports import LOOPBACK
from support.clients import HOST, NOBODY, Desk, User


def mbsync(desk: Desk) -> Path:
    """Synchronize all mailboxes with isync over IMAPS; return the folder of the maildirs."""
    address, password = desk.user
    maildirs = desk.home / "maildirs"
    maildirs.mkdir(exist_ok=True)
    config = desk.write(
        "mbsyncrc",
        f"""\
IMAPAccount house
Host {HOST}
Port {desk.house.port("imaps")}
User {address}
Pass {password}
SSLType IMAPS
CertificateFile {desk.authority}
AuthMechs LOGIN

IMAPStore far
Account house

MaildirStore near
Path {maildirs}/
Inbox {maildirs}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""",
    )
    desk.run("mbsync", "-c", config, "-a", "-V")
    return maildirs


def offlineimap(desk: Desk) -> Path:
    """Synchronize all mailboxes with offlineimap3 over IMAPS; return the folder of the maildirs."""
    address, password = desk.user
    maildirs = desk.home / "offline"
    config = desk.write(
        "offlineimaprc",
        f"""\
[general]
accounts = house
metadata = {desk.home}/offlineimap
socktimeout = 60

[Account house]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {maildirs}

[Repository far]
type = IMAP
remotehost = {HOST}
remoteport = {desk.house.port("imaps")}
remoteuser = {address}
remotepass = {password}
ssl = yes
sslcacertfile = {desk.authority}
""",
    )
    desk.run("offlineimap", "-c", config, "-o", "-u", "basic")
    return maildirs


def dsync(desk: Desk) -> Path:
    """Copy all mailboxes with Dovecot's doveadm over IMAPS, as who moves there does; return its home.

    A second time only what has changed is fetched, and what is gone is gone there.
    """
    address, password = desk.user
    home = desk.home / "dovecot"
    home.mkdir(exist_ok=True)
    who = ["env", "USER=anna", f"HOME={home}"]
    if os.geteuid() == 0:  # Dovecot touches no mail as root
        shutil.chown(home, NOBODY, "nogroup")
        who = ["setpriv", f"--reuid={NOBODY}", "--regid=nogroup", "--clear-groups", *who]
    config = desk.write(
        "dovecot.conf",
        f"""\
base_dir = {home}/run
state_dir = {home}/state
log_path = /dev/stderr
mail_home = {home}
mail_location = maildir:{home}/Maildir
mail_prefetch_count = 20
first_valid_uid = 1
ssl_client_ca_file = {desk.authority}
imapc_host = {LOOPBACK}
imapc_port = {desk.house.port("imaps")}
imapc_ssl = imaps
imapc_user = {address}
imapc_password = {password}
imapc_features = rfc822.size fetch-headers
namespace inbox {{
  inbox = yes
  separator = /
}}
""",
    )
    Path(config).chmod(0o644)
    desk.run(*who, "doveadm", "-c", config, "backup", "-R", "imapc:")
    return home / "Maildir"


def interimap(desk: Desk, other: User) -> None:
    """Make the mailboxes of ``other`` and of the desk's user the same with InterIMAP.

    It lives from QRESYNC, and talks compressed (RFC 4978).
    """
    desk.run("interimap", "--config", _interimaprc(desk, other))


@contextmanager
def watching_interimap(desk: Desk, other: User) -> Iterator[None]:
    """Keep them the same meanwhile, once they were: NOTIFY (RFC 5465) tells what to look at."""
    watching = ["interimap", "--config", _interimaprc(desk, other), "--watch", "--notify"]
    with (desk.home / "words").open("wb") as words:
        program = subprocess.Popen(watching, env=desk.environment, stdout=words, stderr=words)
    try:
        yield
        assert program.poll() is None, (desk.home / "words").read_text()
    finally:
        program.kill()
        program.wait()


def _interimaprc(desk: Desk, other: User) -> str:
    state = desk.home / "interimap"
    state.mkdir(exist_ok=True)
    sections = [
        f"""\
[{name}]
type = imaps
host = {HOST}
port = {desk.house.port("imaps")}
username = {address}
password = {password}
compress = YES
SSL_CAfile = {desk.authority}
"""
        for name, (address, password) in (("local", desk.user), ("remote", other))
    ]
    return desk.write("interimaprc", "\n".join([f"database = {state}/state.db", *sections]))
