"""``python -m posthouse.durable.scribe FOLDER``: writes objects for the process that started it.

    objects come by standard input, a socket ─▶ what has gathered, one flush ─▶ a word on each

Each is written as in `Files.write`. It ends when nobody can ask it for anything more, and is deaf to
what ends a service: that first lets its sessions finish, and they need it.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from posthouse.durable.files import Files, Write

ASKED = struct.Struct("<II")  # octets of the key, octets of the object; both follow
ANSWERED = struct.Struct("<H")  # octets of what went wrong, which follows; none if it is durable
GATHER_MAX = 64  # objects per flush; they fit into half a journal
_READ_OCTETS = 256 * 1024
_FAULT_OCTETS = 1000


def main() -> None:
    """Write until nobody has anything more."""
    for deaf_to in (signal.SIGINT, signal.SIGTERM):
        signal.signal(deaf_to, signal.SIG_IGN)
    files = Files(Path(sys.argv[1]))
    files.open()
    with socket.socket(fileno=0) as line:
        serve(line, files)


def serve(line: socket.socket, files: Files) -> None:
    """Write what is asked for; leave no journal behind in the end."""
    came = bytearray()
    with suppress(ConnectionError):  # who asked is gone: what was written stays
        while True:
            if writes := list(_taken(came, files)):
                files.write(writes)
                line.sendall(b"".join(map(_answer, writes)))
            elif octets := line.recv(_READ_OCTETS):
                came += octets
            else:
                break
    files.close()


def asked(key: str, octets: bytes) -> tuple[bytes, bytes]:
    """Return what is to be sent, one behind the other, for an object to be written."""
    name = key.encode()
    return ASKED.pack(len(name), len(octets)) + name, octets


def answers(came: bytearray) -> Iterator[str]:
    """Take whole answers out of ``came``, in the order of what was asked: what went wrong, if anything."""
    at = 0
    while len(came) - at >= ANSWERED.size:
        end = at + ANSWERED.size + ANSWERED.unpack_from(came, at)[0]
        if len(came) < end:
            break
        yield came[at + ANSWERED.size : end].decode()
        at = end
    del came[:at]


def _taken(came: bytearray, files: Files) -> Iterator[Write]:
    """Take the first whole objects out of ``came``."""
    at = 0
    for _ in range(GATHER_MAX):
        if len(came) - at < ASKED.size:
            break
        key_octets, object_octets = ASKED.unpack_from(came, at)
        body = at + ASKED.size + key_octets
        end = body + object_octets
        if len(came) < end:
            break
        yield files.new_write(came[at + ASKED.size : body].decode(), bytes(came[body:end]))
        at = end
    del came[:at]


def _answer(write: Write) -> bytes:
    fault = str(write.fault).encode(errors="replace") if write.fault is not None else b""
    fault = fault[:_FAULT_OCTETS].decode(errors="ignore").encode()
    return ANSWERED.pack(len(fault)) + fault


if __name__ == "__main__":
    main()
