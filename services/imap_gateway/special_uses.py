"""Which special uses a mailbox may have (RFC 6154)."""

from __future__ import annotations

from collections.abc import Sequence

from imap_gateway.errors import Refusal
from imap_gateway.protocol.listing import SPECIAL_USES

_BY_NAME = {use.lower(): use for use in SPECIAL_USES}


def checked_uses(written: Sequence[str], *, is_own: bool) -> tuple[str, ...]:
    """Return the uses in our spelling; raise `Refusal` for what cannot be (RFC 6154 §3).

    A mailbox of somebody else gets none: clients would put this user's drafts and junk there.
    """
    uses = tuple(dict.fromkeys(_BY_NAME.get(use.lower(), "") for use in written))
    if "" in uses:
        raise Refusal("Special use not supported", b"USEATTR")
    if uses and not is_own:
        raise Refusal("Only your own mailboxes have special uses", b"USEATTR")
    return uses
