"""The relaxed form of a body, beside its definition in patterns (RFC 6376 §3.4.4)."""

from __future__ import annotations

import re
import time
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from posthouse.authenticity.dkim import digest_bodies

_LINES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"  "]), max_size=20)


def _by_patterns(body: bytes) -> bytes:
    lines = re.sub(rb"[ \t]+", b" ", re.sub(rb"[ \t]+(?=\r\n)", b"", body + b"\r\n"))
    while lines.endswith(b"\r\n\r\n"):
        lines = lines.removesuffix(b"\r\n")
    return b"" if lines == b"\r\n" else lines


@given(_LINES)
def test_the_relaxed_form_is_what_the_patterns_of_the_rfc_make(pieces: list[bytes]) -> None:
    found = digest_bodies(pieces, {"relaxed"})["relaxed"]
    wanted = _by_patterns(b"".join(pieces).removesuffix(b"\r\n"))

    assert (found.octets, found.size) == (sha256(wanted).digest(), len(wanted))


def test_a_run_of_white_space_costs_no_more_than_its_length() -> None:
    body = b" \t" * (4 << 20) + b"\r\n"
    began = time.thread_time()

    assert digest_bodies([body], {"relaxed"})["relaxed"].size == 0
    assert time.thread_time() - began < 3.0  # some 0.1 s
