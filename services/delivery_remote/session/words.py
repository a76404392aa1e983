"""MAIL and RCPT, with what the server offers of what a mail asks for (RFC 5321 §4.1.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from delivery_remote.session.mail import Mail
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import in_ascii

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def mail_command(mail: Mail, offers: Mapping[str, str], now: datetime, *, secret: bool) -> bytes:
    """Return MAIL; ``secret`` if the server keeps TLS for what must not go without (RFC 8689)."""
    words = [f"MAIL FROM:<{_safe(mail.sender)}>"]
    if "size" in offers:  # RFC 1870 §6
        words.append(f"SIZE={mail.size}")
    if mail.body == "8BITMIME" and "8bitmime" in offers:  # RFC 6152 §2
        words.append("BODY=8BITMIME")
    if mail.smtputf8:  # RFC 6531 §3.4
        words.append("SMTPUTF8")
    if "dsn" in offers and mail.handling.ret:
        words.append(f"RET={mail.handling.ret}")
    if "dsn" in offers and mail.handling.envid:
        words.append(f"ENVID={_safe(mail.handling.envid)}")
    if mail.handling.requiretls and secret:
        words.append("REQUIRETLS")
    if mail.deadline is not None and "deliverby" in offers:
        words.append(f"BY={mail.deadline.by_value(now)}")
    return f"{' '.join(words)}\r\n".encode()


def rcpt_command(mail: Mail, recipient: InboundRecipient, offers: Mapping[str, str]) -> bytes:
    """RFC 3461 §5.2.1: what came goes on, octet for octet, and nothing that did not come.

    But who keeps no time is asked to tell of delays where mode N wants that (RFC 2852 §4.1.4.2).
    """
    command = f"RCPT TO:<{_safe(recipient.address)}>"
    notify = recipient.notify
    on = notify.with_delay().on if _asks_for_delays(mail, offers) else notify.on
    if "dsn" in offers and on:
        command += f" NOTIFY={on}"
    if "dsn" in offers and notify.orcpt:
        orcpt = notify.orcpt if mail.smtputf8 else in_ascii(notify.orcpt)
        command += f" ORCPT={_safe(orcpt)}"
    return f"{command}\r\n".encode()


def _asks_for_delays(mail: Mail, offers: Mapping[str, str]) -> bool:
    by = mail.deadline
    return by is not None and not (by.returns or by.is_told or "deliverby" in offers)


def _safe(path: str) -> str:
    """Return ``path``; `ValueError` if it would end its command line (an injection)."""
    if _CONTROLS.search(path):
        raise ValueError("a control character in an address")
    return path
