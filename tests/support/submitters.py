"""Programs that hand mail in, each in its own way: msmtp, s-nail, nodemailer, swaks, curl, openssl."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.clients import HOST, Desk
from support.people import Person

_NODEMAILER = Path(__file__).parents[1] / "journeys/nodemailer"
_PATIENCE_SECONDS = 30.0


def msmtp(
    desk: Desk,
    recipients: Sequence[str],
    letter: bytes,
    *,
    mechanism: str,
    dsn: str = "off",
    shows: Person | None = None,
) -> None:
    """Submit with msmtp by STARTTLS and a SASL mechanism.

    Args:
        desk: Where; whoever sits there is the sender.
        recipients: To whom.
        letter: Line ends are LF.
        mechanism: As msmtp calls it.
        dsn: What NOTIFY says.
        shows: Whose certificate is shown; then no password is known.
    """
    address, password = desk.user
    proof = f"password {password}"
    if shows is not None:
        proof = f"tls_cert_file {shows.certificate}\ntls_key_file {shows.key}"
    config = desk.write(
        "msmtprc",
        f"""\
account default
host {HOST}
port {desk.house.port("submission")}
from {address}
auth {mechanism}
user {address}
{proof}
tls on
tls_starttls on
tls_trust_file {desk.authority}
dsn_notify {dsn}
dsn_return {"off" if dsn == "off" else "headers"}
""",
    )
    desk.run("msmtp", "-C", config, *recipients, stdin=letter)


def swaks(desk: Desk, letter: bytes, *options: str) -> str:
    """Send ``letter`` with swaks as ``options`` say; return the conversation."""
    file = desk.write("letter.eml", letter.decode())
    argv = ["swaks", "--server", "127.0.0.1", "--helo", "swaks.test", "--data", f"@{file}"]
    return desk.run(*argv, *options)


def curl(desk: Desk, address: str, *options: str, stdin: bytes = b"") -> str:
    """Let curl speak with ``address``, whose certificate it checks; return what it printed."""
    return desk.run("curl", "-sS", "--cacert", desk.authority, *options, address, stdin=stdin)


def s_nail(desk: Desk, recipient: str, subject: str, body: str, *, how: str) -> None:
    """Write a letter with s-nail and submit it over ``smtp`` (STARTTLS) or ``smtps``."""
    address, password = (part.replace("@", "%40") for part in desk.user)
    port = desk.house.port("submission" if how == "smtp" else "smtps")
    options = [
        "v15-compat=yes",
        "ttycharset=utf-8",
        "DEAD=/dev/null",  # where it keeps what it could not send
        f"tls-ca-file={desk.authority}",
        "tls-ca-no-defaults",
        "tls-verify=strict",
        "smtp-config=-all,plain",
        f"from={desk.user[0]}",
        f"mta={how}://{address}:{password}@{HOST}:{port}",
    ]
    if how == "smtp":
        options.append("smtp-use-starttls")
    argv = ["s-nail", "-:/"]
    argv += [part for option in options for part in ("-S", option)]
    desk.run(*argv, "-s", subject, recipient, stdin=body.encode())


def nodemailer(desk: Desk, *messages: dict[str, Any], **transport: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Send with nodemailer over port 465; return what the server said of each message."""
    address, password = desk.user
    order = {
        "transport": {
            "host": HOST,
            "port": desk.house.port("smtps"),
            "secure": True,
            "auth": {"user": address, "pass": password},
            "tls": {"ca": Path(desk.authority).read_text()},
            **transport,
        },
        "messages": messages,
    }
    told = desk.run("node", str(_NODEMAILER / "send.mjs"), stdin=json.dumps(order).encode())
    said: list[dict[str, Any]] = json.loads(told)
    return said


def s_client(desk: Desk, port: str, lines: str, *options: str) -> str:
    """Talk with openssl s_client: each line when the one before was answered; return all it says."""
    argv = ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", desk.authority]
    argv += ["-connect", f"{HOST}:{desk.house.port(port)}", *options]
    told = subprocess.run(
        argv,
        input=lines.replace("\n", "\r\n").encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    return told.stdout.decode(errors="replace")
