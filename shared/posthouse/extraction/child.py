"""``python -m posthouse.extraction.child MEMORY``: a worker; jobs come by stdin, what it makes goes to stdout.

It may take so much memory (octets of address space) and not more; whoever started it watches the time.
It opens no file and no connection.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from typing import BinaryIO

import msgspec

from posthouse.extraction.attachments import attached_texts
from posthouse.extraction.jobs import LENGTH, Job, Made, packed
from posthouse.mime import unpack_parts
from posthouse.mime.indexed import HeaderText, gram_keys, header_text
from posthouse.mime.text import search_text


def main() -> None:
    """Work until nobody has anything more."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(jobs: BinaryIO, results: BinaryIO) -> None:
    """Do jobs after jobs."""
    decoder = msgspec.msgpack.Decoder(list[Job])
    while length := jobs.read(LENGTH.size):
        together = decoder.decode(jobs.read(LENGTH.unpack(length)[0]))
        results.write(packed([make(job) for job in together]))
        results.flush()


def make(job: Job) -> Made:
    """Return what the message is found by."""
    header = _sound_header(header_text(job.content, job.header))
    body = _sound(_body(job)) if job.octets else ""
    return Made(header=header, body=body, keys=gram_keys(job.account, header.header, body))


def _body(job: Job) -> str:
    parts = unpack_parts(job.parts)
    body = search_text(job.octets, parts)
    if not job.with_documents:
        return body
    return "\n".join([body, *attached_texts(job.octets, parts)])


def _sound_header(text: HeaderText) -> HeaderText:
    subject, sender, to, cc, shown_sender, shown_to = map(_sound, text.sort_texts)
    return replace(
        text,
        sender=_sound(text.sender),
        to=_sound(text.to),
        cc=_sound(text.cc),
        subject=_sound(text.subject),
        header=_sound(text.header),
        sort_texts=(subject, sender, to, cc, shown_sender, shown_to),
    )


def _sound(text: str) -> str:
    """Return ``text`` without what neither msgpack nor PostgreSQL takes."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


if __name__ == "__main__":
    main()
