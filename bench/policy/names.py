"""A name server for the bench: a few records in a thread of its own, everything else is not there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from onemachine.ports import LOOPBACK

TTL_SECONDS = 3600
MAX_OCTETS = 4096
_END = b""


@contextmanager
def names(records: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Answer while inside; yield the value of POSTHOUSE_NAMESERVERS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((LOOPBACK, 0))
        port = line.getsockname()[1]
        thread = threading.Thread(target=_serve, args=(line, records), daemon=True)
        thread.start()
        try:
            yield f"{LOOPBACK}:{port}"
        finally:
            line.sendto(_END, (LOOPBACK, port))
            thread.join()


def _serve(line: socket.socket, records: Mapping[tuple[str, str], str]) -> None:
    while True:
        asked, client = line.recvfrom(MAX_OCTETS)
        if asked == _END:
            return
        line.sendto(_answer(dns.message.from_wire(asked), records).to_wire(), client)


def _answer(
    query: dns.message.Message, records: Mapping[tuple[str, str], str]
) -> dns.message.Message:
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.RA
    text = records.get((name, dns.rdatatype.to_text(question.rdtype)))
    if text is not None:
        rows = dns.rrset.from_text(question.name, TTL_SECONDS, "IN", question.rdtype, text)
        answer.answer.append(rows)
    elif not any(name == known for known, _ in records):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
