"""Mail for a server that lacks what it would need: made to fit, or refused for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import idna
import msgspec

from delivery_remote.session.mail import Mail


def fitted(mail: Mail, offers: Mapping[str, str]) -> Mail:
    """Return ``mail`` as it can go to a server with these ``offers``.

    Without SMTPUTF8 domains go as A-labels (RFC 5890 §2.3.2.1), which name the same, if that is
    all it takes. A local part, or a header, that is not ASCII cannot be said otherwise.
    """
    if not mail.smtputf8 or "smtputf8" in offers or not mail.plain_header:
        return mail
    sender = _in_ascii(mail.sender)
    recipients = tuple(
        msgspec.structs.replace(each, address=_in_ascii(each.address)) for each in mail.recipients
    )
    if not all(map(str.isascii, (sender, *(each.address for each in recipients)))):
        return mail
    return replace(mail, sender=sender, recipients=recipients, smtputf8=False)


def _in_ascii(path: str) -> str:
    """Return ``path`` with its domain in A-labels, or as it is if that cannot be."""
    local, at, domain = path.rpartition("@")
    if domain.isascii():
        return path
    try:
        return f"{local}{at}{idna.encode(domain, strict=True).decode()}"
    except UnicodeError:
        return path
