"""Real mail programs from Debian, each told to use the house and no other configuration."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.stack import PATIENCE_SECONDS, House

User = tuple[str, str]
NOBODY = "nobody"
LETTERS = int(os.environ.get("POSTHOUSE_TEST_LETTERS", "200"))  # that a client reads in one go
SECONDS_PER_LETTER = 0.1
HOST = "localhost"  # a name the certificate is for; some of these programs check no addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a user's mail programs keep their files.

    Attributes:
        house: The house they talk to.
        home: An empty folder.
        user: Address and password.
    """

    house: House
    home: Path
    user: User

    @property
    def authority(self) -> str:
        """The certificate that all of them trust."""
        return self.house.demo.authority

    @property
    def environment(self) -> dict[str, str]:
        """What all of them are told by the environment."""
        path = os.environ["PATH"] + ":/usr/sbin"
        return {"PATH": path, "HOME": str(self.home), "TERM": "xterm"}

    def run(self, *argv: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> str:
        """Run a program to its end; fail with its last words if it has none, or one that is not ``ok``."""
        try:
            told = subprocess.run(
                argv,
                input=stdin,
                env=self.environment,
                cwd=self.home,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_SECONDS + LETTERS * SECONDS_PER_LETTER,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            words = (late.stdout or b"").decode(errors="replace")
            pytest.fail(f"{argv[0]} did not end; its last words:\n{words[-2000:]}")
        words = told.stdout.decode(errors="replace")
        assert told.returncode in ok, f"{argv[0]} ended with {told.returncode}:\n{words}"
        return words

    def write(self, name: str, text: str) -> str:
        """Write a configuration with a password in it; return its path."""
        file = self.home / name
        file.touch(mode=0o600)
        file.write_text(text)
        return str(file)


def swaks(desk: Desk, recipients: Sequence[str], letter: bytes, *, how: str) -> str:
    """Send with swaks: ``how`` is mx, starttls or tls; return the conversation."""
    address, password = desk.user
    (desk.home / "letter.eml").write_bytes(letter)
    argv = ["swaks", "--server", "127.0.0.1", "--from", address, "--to", ",".join(recipients)]
    argv += ["--data", f"@{desk.home / 'letter.eml'}"]
    log_in = ["--auth", "PLAIN", "--auth-user", address, "--auth-password", password]
    match how:
        case "starttls":
            argv += ["--port", str(desk.house.port("submission")), "--tls", *log_in]
        case "tls":
            argv += ["--port", str(desk.house.port("smtps")), "--tlsc", *log_in]
        case _:
            argv += ["--port", str(desk.house.port("smtp"))]
    return desk.run(*argv)


def msmtp(desk: Desk, recipients: Sequence[str], letter: bytes) -> None:
    """Submit with msmtp: STARTTLS, certificate checked, AUTH."""
    address, password = desk.user
    config = desk.write(
        "msmtprc",
        f"""\
account default
host {HOST}
port {desk.house.port("submission")}
from {address}
auth on
user {address}
password {password}
tls on
tls_starttls on
tls_trust_file {desk.authority}
""",
    )
    desk.run("msmtp", "-C", config, *recipients, stdin=letter)


def fetchmail(desk: Desk, *, protocol: str) -> bytes:
    """Fetch and delete with fetchmail (pop3 or imap, implicit TLS); return what it got."""
    address, password = desk.user
    port = desk.house.port("pop3s" if protocol == "pop3" else "imaps")
    got = desk.home / "fetched"
    got.touch()
    config = desk.write(
        "fetchmailrc",
        f"""\
poll {HOST} protocol {protocol} port {port} auth password
  user "{address}" password "{password}" ssl sslcertfile {desk.authority} sslcertck
  no rewrite no mimedecode
  mda "cat >> {got}"
""",
    )
    desk.run("fetchmail", "-f", config, "--nosyslog", "--nodetach", "--verbose")
    return got.read_bytes()


def kept(maildir: Path) -> list[bytes]:
    """Return the messages of a Maildir."""
    return [
        file.read_bytes()
        for place in ("new", "cur")
        for file in sorted((maildir / place).iterdir())
    ]


# getmail (6.18) sets its handler for SIGCHLD only after the fork, so it misses a child that was
# quick and waits a minute for nothing. Here it waits for the child itself, whenever that ended.
_GETMAIL = """\
import os, runpy, sys
from getmailcore.baseclasses import ForkingBase

def wait(self, child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

ForkingBase._prepare_child = lambda self: None
ForkingBase._wait_for_child = wait
sys.argv[0] = "getmail"
runpy.run_path("/usr/bin/getmail", run_name="__main__")
"""


def getmail(desk: Desk, *, delete: bool, protocol: str = "POP3") -> list[bytes]:
    """Fetch with getmail (POP3 or IMAP, TLS) what it has not seen yet; return all it ever got."""
    address, password = desk.user
    maildir = desk.home / "Maildir"
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True, exist_ok=True)
    other = ""
    if os.geteuid() == 0:  # getmail refuses to deliver as root
        other = f"user = {NOBODY}"
        for owned in (maildir, *maildir.iterdir()):
            shutil.chown(owned, NOBODY)
    desk.write(
        "getmailrc",
        f"""\
[retriever]
type = Simple{protocol}SSLRetriever
server = {HOST}
port = {desk.house.port(f"{protocol.lower()}s")}
username = {address}
password = {password}
ca_certs = {desk.authority}

[destination]
type = Maildir
path = {maildir}/
{other}

[options]
delete = {str(delete).lower()}
read_all = false
received = false
delivered_to = false
""",
    )
    program = desk.write("getmail.py", _GETMAIL)
    desk.run("/usr/bin/python3", program, f"--getmaildir={desk.home}", "--rcfile=getmailrc")
    return kept(maildir)


def mutt(desk: Desk) -> bytes:
    """Open INBOX over IMAPS with mutt on a terminal, copy every message into a file; return it."""
    copied = desk.home / "copied"
    _mutt(desk, copied, "mbox")
    return copied.read_bytes()


def mutt_into_maildir(desk: Desk, name: str = "copied") -> Path:
    """Likewise into a new Maildir; return it. What mutt learnt of INBOX it keeps for the next time."""
    copied = desk.home / name
    for place in ("cur", "new", "tmp"):
        (copied / place).mkdir(parents=True)
    _mutt(desk, copied, "maildir")
    return copied


def mutt_asked(desk: Desk) -> str:
    """Return what mutt and the server said the last time, as mutt noted it."""
    return (desk.home / ".muttdebug0").read_text(errors="replace")


def _mutt(desk: Desk, copied: Path, kind: str) -> None:
    address, password = desk.user
    keys = f"<tag-pattern>~A<enter><tag-prefix><copy-message>{copied}<enter><exit>"
    config = desk.write(
        "muttrc",
        f"""\
set imap_user="{address}"
set imap_pass="{password}"
set folder="imaps://{HOST}:{desk.house.port("imaps")}/"
set spoolfile="+INBOX"
set certificate_file="{desk.authority}"
set ssl_usesystemcerts=no
set confirmappend=no
set confirmcreate=no
set wait_key=no
set quit=yes
set delete=yes
set mbox_type={kind}
set header_cache="{desk.home}/headers"
set imap_qresync=yes
push "{keys}"
""",
    )
    command = f"mutt -n -d 2 -F {config}"
    desk.run("script", "--quiet", "--return", "--command", command, "/dev/null")
