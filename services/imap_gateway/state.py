"""The states of a session and what may be said in each (RFC 3501 §3), and what we offer."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """RFC 3501 §3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


_ANY = {"CAPABILITY", "NOOP", "LOGOUT", "ID"}
_MAILBOXES = {
    "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB",
    "STATUS", "APPEND", "NAMESPACE", "ENABLE", "IDLE",
}  # fmt: skip
_MESSAGES = {
    "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "SEARCH", "FETCH", "STORE", "COPY", "MOVE",
    "UID EXPUNGE", "UID SEARCH", "UID FETCH", "UID STORE", "UID COPY", "UID MOVE",
}  # fmt: skip

ALLOWED: dict[State, frozenset[str]] = {
    State.NOT_AUTHENTICATED: frozenset(_ANY | {"STARTTLS", "AUTHENTICATE", "LOGIN"}),
    State.AUTHENTICATED: frozenset(_ANY | _MAILBOXES),
    State.SELECTED: frozenset(_ANY | _MAILBOXES | _MESSAGES),
    State.LOGOUT: frozenset(),
}

# While these run no EXPUNGE may be sent: the client counts messages (RFC 3501 §7.4.1).
COUNTING = frozenset({"FETCH", "STORE", "SEARCH"})

# These end the selected state whatever the mailbox holds.
LEAVING = frozenset({"SELECT", "EXAMINE", "CLOSE", "UNSELECT", "LOGOUT"})

# Before login: what the greeting says (RFC 3501 §7.2.1).
_BEFORE = b"IMAP4rev1 LITERAL+ SASL-IR ID"
_AFTER = (
    b"IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE CHILDREN SPECIAL-USE UNSELECT UIDPLUS MOVE"
    b" CONDSTORE"
)


def capabilities(
    state: State,
    *,
    can_start_tls: bool = False,
    mechanisms: tuple[str, ...] = (),
    may_login: bool = False,
) -> bytes:
    """Return what is true in this state, for CAPABILITY and its response codes.

    Args:
        state: The session's.
        can_start_tls: STARTTLS would work now.
        mechanisms: Of AUTHENTICATE, that can succeed now.
        may_login: LOGIN can.
    """
    if state is not State.NOT_AUTHENTICATED:
        return _AFTER
    offered = [_BEFORE]
    if can_start_tls:
        offered.append(b"STARTTLS")
    offered += [f"AUTH={name}".encode() for name in mechanisms]
    if not may_login:
        offered.append(b"LOGINDISABLED")
    return b" ".join(offered)
