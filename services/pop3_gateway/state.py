"""What is allowed when (RFC 1939 §3), and what we are capable of (RFC 2449). Pure."""

from __future__ import annotations

from enum import Enum

from pop3_gateway import commands as c


class State(Enum):
    """The states of RFC 1939 §3; UPDATE is a moment inside QUIT."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"


_ANY: frozenset[type[c.Command]] = frozenset({c.Capa, c.Lang, c.Quit})

ALLOWED: dict[State, frozenset[type[c.Command]]] = {
    State.AUTHORIZATION: _ANY | {c.Stls, c.User, c.Pass, c.Auth, c.Utf8},
    State.TRANSACTION: _ANY | {c.Stat, c.List, c.Uidl, c.Retr, c.Top, c.Dele, c.Noop, c.Rset},
}


# UTF8 USER: names and passwords are UTF-8 (RFC 6856 §2.2); told in both states (§2, §3.1).
_ALWAYS = (
    b"TOP",
    b"UIDL",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"PIPELINING",
    b"EXPIRE NEVER",
    b"UTF8 USER",
    b"LANG",
)


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
    lines = list(_ALWAYS)
    if state is State.AUTHORIZATION:
        if can_log_in:
            lines.append(b"USER")
        if mechanisms:
            lines.append(b"SASL " + " ".join(mechanisms).encode())
        if can_start_tls:
            lines.append(b"STLS")
    return [*lines, b"IMPLEMENTATION Posthouse"]
