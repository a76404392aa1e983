"""Internationalized domain names in both their forms (RFC 5890 §2.3.2.1).

Nothing is mapped before a domain is compared (RFC 5891 §5.2): ``ｅxample`` is not ``example``, and
``straße`` is not ``strasse``. What looks alike is another's domain.
"""

from __future__ import annotations

import idna


def a_labels(domain: str) -> str:
    """Return ``domain`` in A-labels (RFC 5891 §4), or as it is if it has none."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, strict=True).decode("ascii")
    except UnicodeError:
        return domain


def u_labels(domain: str) -> str:
    """Return ``domain`` in U-labels (RFC 5891 §5), or as it is if it has none."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain, strict=True)
    except UnicodeError:
        return domain
