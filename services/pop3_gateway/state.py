"""What is allowed when (RFC 1939 §3), and what we are capable of (RFC 2449). Pure."""

from __future__ import annotations

from enum import Enum

from pop3_gateway import commands as c


class State(Enum):
    """The states of RFC 1939 §3; UPDATE is a moment inside QUIT."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"


_ANY: frozenset[type[c.Command]] = frozenset({c.Capa, c.Quit})

ALLOWED: dict[State, frozenset[type[c.Command]]] = {
    State.AUTHORIZATION: _ANY | {c.Stls, c.User, c.Pass, c.Auth},
    State.TRANSACTION: _ANY | {c.Stat, c.List, c.Uidl, c.Retr, c.Top, c.Dele, c.Noop, c.Rset},
}


def capabilities(
    state: State,
    *,
    can_start_tls: bool,
    mechanisms: tuple[str, ...] = (),
    can_log_in: bool = False,
) -> list[bytes]:
    """Return the lines of CAPA (RFC 2449 §6): only what would be answered with +OK now.

    Args:
        state: Where the session is.
        can_start_tls: STLS would be accepted (RFC 2595 §4).
        mechanisms: Of AUTH, that can succeed on this connection.
        can_log_in: USER and PASS can.
    """
    lines = [b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING", b"EXPIRE NEVER"]
    if state is State.AUTHORIZATION:
        if can_log_in:
            lines.append(b"USER")
        if mechanisms:
            lines.append(b"SASL " + " ".join(mechanisms).encode())
        if can_start_tls:
            lines.append(b"STLS")
    return [*lines, b"IMPLEMENTATION Posthouse"]
