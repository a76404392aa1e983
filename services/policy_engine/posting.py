"""Who may post to an alias or group: addresses of ours, ``@domain``, or its members. Pure.

Only who is known can be among them: an account by its login, and a client of a network that may relay by the
sender that it names. A stranger's sender proves nothing, so strangers post to what is open for everybody.
"""

from __future__ import annotations

from policy_engine.rights import read
from posthouse.mail.status import Status
from posthouse.storage.directory import MEMBERS, Alias

NO_POSTER = Status(550, (5, 7, 2))  # RFC 3463 §3.8: mailing list expansion prohibited
NO_POSTER_TEXT = "You may not post to this address"


def may_post(alias: Alias, poster: str) -> bool:
    """True if ``poster`` may; it is empty for who is not known."""
    if not alias.posters:
        return True
    address = read(poster)
    if address is None:
        return False
    named = {each.lower() for each in alias.posters}
    if MEMBERS in named and address.key in {target.lower() for target in alias.targets}:
        return True
    return not named.isdisjoint({address.key, f"@{address.domain}"})
