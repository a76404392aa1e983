"""The states of a session and what may be said in each (RFC 3501 §3)."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final


class State(Enum):
    """RFC 3501 §3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


_ALWAYS, _OUTSIDE, _INSIDE, _SELECTED = range(4)

# From which state on a command may be given: one line for each of a family's.
_COMMANDS: Final = (
    (_ALWAYS, "CAPABILITY", "NOOP", "LOGOUT"),  # RFC 3501 §6.1
    (_ALWAYS, "ID"),  # RFC 2971
    (_OUTSIDE, "STARTTLS", "AUTHENTICATE", "LOGIN"),  # RFC 3501 §6.2
    (_INSIDE, "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME"),  # RFC 3501 §6.3
    (_INSIDE, "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB", "STATUS", "APPEND"),
    (_INSIDE, "NAMESPACE"),  # RFC 2342
    (_INSIDE, "GETMETADATA", "SETMETADATA"),  # RFC 5464
    (_INSIDE, "SETACL", "DELETEACL", "GETACL", "LISTRIGHTS", "MYRIGHTS"),  # RFC 4314
    (_INSIDE, "GETQUOTA", "GETQUOTAROOT", "SETQUOTA"),  # RFC 9208
    (_INSIDE, "ENABLE"),  # RFC 5161
    (_INSIDE, "IDLE"),  # RFC 2177
    (_INSIDE, "NOTIFY"),  # RFC 5465
    (_INSIDE, "COMPRESS"),  # RFC 4978
    (_INSIDE, "UNAUTHENTICATE"),  # RFC 8437
    (_SELECTED, "CHECK", "CLOSE", "EXPUNGE"),  # RFC 3501 §6.4
    (_SELECTED, "SORT", "UID SORT", "THREAD", "UID THREAD"),  # RFC 5256
    (_SELECTED, "CANCELUPDATE"),  # RFC 5267
    (_INSIDE, "ESEARCH"),  # RFC 7377
    (_SELECTED, "UNSELECT"),  # RFC 3691
    (_SELECTED, "UID EXPUNGE"),  # RFC 4315
    (_SELECTED, "SEARCH", "FETCH", "STORE", "COPY"),  # RFC 3501 §6.4
    (_SELECTED, "UID SEARCH", "UID FETCH", "UID STORE", "UID COPY"),
    (_SELECTED, "MOVE", "UID MOVE"),  # RFC 6851
    (_SELECTED, "REPLACE", "UID REPLACE"),  # RFC 8508
)


def _allowed(*stages: int) -> frozenset[str]:
    return frozenset(name for stage, *names in _COMMANDS if stage in stages for name in names)


ALLOWED: Final = MappingProxyType(
    {
        State.NOT_AUTHENTICATED: _allowed(_ALWAYS, _OUTSIDE),
        State.AUTHENTICATED: _allowed(_ALWAYS, _INSIDE),
        State.SELECTED: _allowed(_ALWAYS, _INSIDE, _SELECTED),
        State.LOGOUT: frozenset[str](),
    }
)

# These look at messages of the selected mailbox: a guest must still have the right to (RFC 4314 §4).
OF_MESSAGES = _allowed(_SELECTED)

# While these run no EXPUNGE may be sent: the client counts messages (RFC 3501 §7.4.1).
COUNTING = frozenset({"FETCH", "STORE", "SEARCH", "SORT", "THREAD"})

# These change mailboxes: a NO to them means that nothing was done (RFC 3501 §7.1.2).
CHANGING = frozenset({
    "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "SETACL", "DELETEACL", "SETQUOTA",
})  # fmt: skip

# These are answered by telling what went, whatever NOTIFY wants.
EXPUNGING = frozenset({"EXPUNGE", "UID EXPUNGE", "MOVE", "UID MOVE", "REPLACE", "UID REPLACE"})

# These name messages by sequence numbers (RFC 9586 §3.2).
NUMBERED = frozenset({"FETCH", "STORE", "SEARCH", "COPY", "MOVE", "SORT", "THREAD", "REPLACE"})

# These end the selected state whatever the mailbox holds.
LEAVING = frozenset({"SELECT", "EXAMINE", "CLOSE", "UNSELECT", "LOGOUT", "UNAUTHENTICATE"})
