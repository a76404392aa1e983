"""The mail that tells operators what was seen of an account, and what they may do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from uuid import UUID

from posthouse.storage.outbound.alarms import Raised

_DONE = {
    "alert": "Nothing was done: its mail goes on.",
    "hold": "Its mail is taken and held, what waits is held, too.",
    "pause": "It cannot submit mail, and what it has submitted is held; it can read its mail.",
}
_RESUME = """
Look at it:           posthouse policy limits show {account}
Let its mail go:      posthouse account resume {account} --release
Throw its mail away:  posthouse account resume {account} --discard
"""


def compose(ident: UUID, host: str, to: Sequence[str], raised: Raised, now: datetime) -> bytes:
    """Return the mail about ``raised``."""
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = format_datetime(now)
    mail["From"] = f"Posthouse <postmaster@{host}>"
    mail["To"] = ", ".join(to)
    mail["Subject"] = f"Account {raised.account}: {raised.rule} ({raised.consequence})"
    mail["Message-ID"] = f"<{ident}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
    text = (
        f"Account:  {raised.account}\nRule:     {raised.rule}\nSeen:     {raised.detail}\n"
        f"At:       {raised.at:%Y-%m-%d %H:%M:%S} UTC\n\n{_DONE[raised.consequence]}\n"
    )
    if raised.consequence != "alert":
        text += _RESUME.format(account=raised.account)
    # No line of a command may be broken in the middle.
    mail.set_content(text, cte="7bit" if text.isascii() else "base64")
    return mail.as_bytes()
