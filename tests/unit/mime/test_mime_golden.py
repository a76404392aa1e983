"""The messages of CPython's email tests: MIME of every shape, broken ones included.

The messages themselves are read from the interpreter's own test package; what the scanner makes of
them was compared with the standard library and by eye once, and stands in tests/golden/mime.
"""

from __future__ import annotations

import email
import email.policy
from email.message import Message
from pathlib import Path

import pytest

from posthouse.mime import scan
from posthouse.mime.structure import MULTIPART, Entity, read_tree
from support.letters import cpython_letters, on_the_wire

GOLDEN = Path(__file__).parents[2] / "golden" / "mime" / "cpython_letters.txt"
LETTERS = {path.name: path for path in cpython_letters()}

# Where the standard library sees another tree, and why ours stays.
_NO_EMPTY_LINE = "for us a header ends at its empty line and nowhere else (RFC 5322 §2.1)"
_ONE_BOUNDARY = (
    "of two multiparts with one boundary the inner one gets the delimiters, as it was meant"
)
_DIFFERENT = {
    "msg_15.txt": _ONE_BOUNDARY,
    "msg_19.txt": _NO_EMPTY_LINE,
    "msg_35.txt": _NO_EMPTY_LINE,
    "msg_37.txt": "for us nothing between two delimiters is an empty part (RFC 2046 §5.1.1)",
    "msg_38.txt": _NO_EMPTY_LINE,
    "msg_39.txt": _ONE_BOUNDARY,
    "msg_47.txt": _NO_EMPTY_LINE,
}


def _golden() -> dict[str, tuple[str, str]]:
    blocks = GOLDEN.read_bytes().decode("utf-8", "surrogateescape").split("\n\n")
    found = {}
    for block in blocks[1:]:
        name, envelope, structure = block.strip("\n").split("\n")
        found[name] = (envelope, structure)
    return found


@pytest.mark.parametrize("name", sorted(LETTERS))
def test_the_summary_is_the_one_that_was_looked_at(name: str) -> None:
    summary = scan(on_the_wire(LETTERS[name].read_bytes()))

    envelope, structure = _golden()[name]
    assert summary.envelope.decode("utf-8", "surrogateescape") == envelope
    assert summary.bodystructure.decode("utf-8", "surrogateescape") == structure


@pytest.mark.parametrize("name", sorted(LETTERS))
def test_the_standard_library_agrees(name: str) -> None:
    octets = on_the_wire(LETTERS[name].read_bytes())
    oracle = email.message_from_bytes(octets, policy=email.policy.compat32)

    if name in _DIFFERENT:
        with pytest.raises(AssertionError):
            _compare(octets, read_tree(octets), oracle)
    else:
        _compare(octets, read_tree(octets), oracle)


def _compare(octets: bytes, entity: Entity, oracle: Message) -> None:
    payload = oracle.get_payload()
    assert entity.type.value.decode().lower() == oracle.get_content_type()
    if entity.kind == MULTIPART and isinstance(payload, list):
        assert len(entity.children) == len(payload)
        for child, other in zip(entity.children, payload, strict=True):
            assert isinstance(other, Message)
            _compare(octets, child, other)
    elif isinstance(payload, str):
        body = octets[entity.body : entity.end]
        assert body == payload.encode("utf-8", "surrogateescape")
