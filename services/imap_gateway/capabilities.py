"""What we say we can do (RFC 3501 §7.2.1): one word a line, each of them all of its RFC."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from imap_gateway.state import State

# Before login: what the greeting says.
_BEFORE: Final = (
    b"IMAP4rev1",  # RFC 3501
    b"IMAP4rev2",  # RFC 9051
    b"LITERAL+",  # RFC 7888
    b"SASL-IR",  # RFC 4959
    b"ID",  # RFC 2971
)

_AFTER: Final = (
    b"IMAP4rev1",  # RFC 3501
    b"IMAP4rev2",  # RFC 9051
    b"LITERAL+",  # RFC 7888
    b"ID",  # RFC 2971
    b"ENABLE",  # RFC 5161
    b"IDLE",  # RFC 2177
    b"NAMESPACE",  # RFC 2342
    b"CHILDREN",  # RFC 3348
    b"LIST-EXTENDED",  # RFC 5258
    b"LIST-STATUS",  # RFC 5819
    b"STATUS=SIZE",  # RFC 8438
    b"SPECIAL-USE",  # RFC 6154
    b"CREATE-SPECIAL-USE",  # RFC 6154
    b"ACL",  # RFC 4314
    b"RIGHTS=texk",  # RFC 4314
    b"LIST-MYRIGHTS",  # RFC 8440
    b"METADATA",  # RFC 5464
    b"QUOTA",  # RFC 9208, for these three as well, and for QUOTASET
    b"QUOTA=RES-STORAGE",
    b"QUOTA=RES-MESSAGE",
    b"QUOTA=RES-MAILBOX",
    b"QUOTASET",
    b"LIST-METADATA",  # RFC 9590
    b"UNSELECT",  # RFC 3691
    b"UIDPLUS",  # RFC 4315
    b"MOVE",  # RFC 6851
    b"MULTIAPPEND",  # RFC 3502
    b"CATENATE",  # RFC 4469
    b"REPLACE",  # RFC 8508
    b"BINARY",  # RFC 3516
    b"UTF8=ACCEPT",  # RFC 6855
    b"COMPRESS=DEFLATE",  # RFC 4978
    b"UNAUTHENTICATE",  # RFC 8437
    b"INPROGRESS",  # RFC 9585
    b"CONDSTORE",  # RFC 7162
    b"QRESYNC",  # RFC 7162
    b"NOTIFY",  # RFC 5465
    b"UIDONLY",  # RFC 9586
    b"OBJECTID",  # RFC 8474
    b"SAVEDATE",  # RFC 8514
    b"PREVIEW",  # RFC 8970
    b"ESEARCH",  # RFC 4731
    b"SEARCHRES",  # RFC 5182
    b"WITHIN",  # RFC 5032
    b"PARTIAL",  # RFC 9394
    b"SORT",  # RFC 5256
    b"SORT=DISPLAY",  # RFC 5957
    b"THREAD=ORDEREDSUBJECT",  # RFC 5256
    b"THREAD=REFERENCES",  # RFC 5256
    b"ESORT",  # RFC 5267
    b"CONTEXT=SEARCH",  # RFC 5267
    b"CONTEXT=SORT",  # RFC 5267
    b"MULTISEARCH",  # RFC 7377
    b"I18NLEVEL=1",  # RFC 5255
)

_SAID_BEFORE: Final = b" ".join(_BEFORE)
_SAID_AFTER: Final = b" ".join(_AFTER)

# What ENABLE turns on (RFC 5161), and what that turns on as well.
ENABLES: Final = MappingProxyType[bytes, tuple[bytes, ...]]({
    b"CONDSTORE": (),  # RFC 7162 §3.1
    b"QRESYNC": (b"CONDSTORE",),  # RFC 7162 §3.2.3
    b"UIDONLY": (),  # RFC 9586 §3.1
    b"UTF8=ACCEPT": (),  # RFC 6855 §3
    b"IMAP4REV2": (),  # RFC 9051 §6.3.1
})  # fmt: skip


def capabilities(
    state: State,
    *,
    append_octets: int,
    can_start_tls: bool = False,
    mechanisms: tuple[str, ...] = (),
    may_login: bool = False,
) -> bytes:
    """Return what is true in this state, for CAPABILITY and its response codes.

    Args:
        state: The session's.
        append_octets: The largest message that may be appended (RFC 7889 §2).
        can_start_tls: STARTTLS would work now.
        mechanisms: Of AUTHENTICATE, that can succeed now.
        may_login: LOGIN can.
    """
    if state is not State.NOT_AUTHENTICATED:
        return b"%b APPENDLIMIT=%d" % (_SAID_AFTER, append_octets)
    offered = [_SAID_BEFORE]
    if can_start_tls:
        offered.append(b"STARTTLS")
    offered += [f"AUTH={name}".encode() for name in mechanisms]
    if not may_login:
        offered.append(b"LOGINDISABLED")
    return b" ".join(offered)
