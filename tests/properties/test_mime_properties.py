"""Laws of the scanner: any octets, honest ranges, and the standard library as the oracle."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import Message

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mime import Pages, scan, unpack_parts
from posthouse.mime.addresses import parse_addresses
from posthouse.mime.structure import MESSAGE, MULTIPART, Entity, read_tree
from posthouse.mime.text import decode_words, header_lines, search_text

# Octets that mean something to the scanner, so that random messages hit its rules.
_TOKENS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"--b",
        b"--b\r\n",
        b"\r\n--b\r\n",
        b"--b--\r\n",
        b"--c\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/digest; boundary=c\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/html; charset=utf-8\r\n",
        b"From: a <a@x>, b@y (c)\r\n",
        b"To: g: a@x;\r\n",
        b"Subject: =?utf-8?q?x?=\r\n",
        b" folded\r\n",
        b"\0",
        b'"',
        b"(",
        b";",
        b"\xff",
        b"text",
    ]
)
OCTETS = st.one_of(st.binary(max_size=300), st.lists(_TOKENS, max_size=25).map(b"".join))


@given(OCTETS)
def test_any_octets_are_scanned(octets: bytes) -> None:
    summary = scan(octets)

    assert octets.startswith(summary.header)
    assert _is_one_list(summary.envelope)
    assert _is_one_list(summary.bodystructure)
    search_text(octets, unpack_parts(summary.parts))
    list(header_lines(summary.header))


@given(octets=OCTETS | st.lists(OCTETS, max_size=40).map(b"".join), step=st.integers(1, 400))
def test_what_is_read_by_the_page_is_the_same(octets: bytes, step: int) -> None:
    pages = Pages(len(octets), lambda start, end: octets[start:end], step)

    assert scan(pages) == scan(octets)


@given(st.binary(max_size=200))
def test_any_field_is_read(field: bytes) -> None:
    parse_addresses(field)
    decode_words(field)


@given(OCTETS)
def test_parts_lie_inside_their_parents_one_after_the_other(octets: bytes) -> None:
    root = read_tree(octets)

    assert (root.start, root.end) == (0, len(octets))
    _check_ranges(root)


def _check_ranges(entity: Entity) -> None:
    assert entity.start <= entity.body <= entity.end
    at = entity.body
    for child in entity.children:
        assert at <= child.start
        assert child.end <= entity.end
        at = child.end
        _check_ranges(child)


@given(OCTETS)
def test_the_packed_parts_are_the_tree(octets: bytes) -> None:
    packed = list(unpack_parts(scan(octets).parts))

    expected = [(e.kind, e.depth, e.start, e.body, e.end) for e in _all(read_tree(octets))]
    assert [tuple(part) for part in packed] == expected


def _all(entity: Entity) -> list[Entity]:
    return [entity, *(each for child in entity.children for each in _all(child))]


def _is_one_list(wire: bytes) -> bool:
    """True if ``wire`` is one parenthesized list in the grammar of RFC 3501 §9."""
    at, depth = 0, 0
    while at < len(wire):
        match = _WIRE_TOKEN.match(wire, at)
        assert match is not None, wire[at:]
        at = match.end()
        if match["literal"] is not None:
            size = int(match["literal"])
            assert b"\0" not in wire[at : at + size]
            at += size
            assert at <= len(wire)
        depth += (match[0] == b"(") - (match[0] == b")")
        if not depth:
            break
    return depth == 0 and at == len(wire)


_WIRE_TOKEN = re.compile(
    rb'[() ]|NIL|\d+|"(?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*"'
    rb"|\{(?P<literal>\d+)\}\r\n"
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A well-formed entity: its content type, its lines, its parts."""

    kind: str
    lines: tuple[str, ...]
    parts: tuple[Drawn, ...] = ()


_LINE = st.text(
    st.characters(codec="ascii", exclude_characters="\r\n\0\x0b\x0c\x1c\x1d\x1e"), max_size=20
)
# A line that begins like a delimiter of ours would be one.
_LINES = st.lists(_LINE.filter(lambda line: not line.startswith("--=_")), max_size=4).map(tuple)
_LEAVES = st.builds(Drawn, st.sampled_from(["text/plain", "text/html", "image/png"]), _LINES)
_DRAWN = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda kind, parts: Drawn(kind, (), tuple(parts)),
            st.sampled_from(["multipart/mixed", "multipart/alternative"]),
            st.lists(inner, min_size=1, max_size=4),
        ),
        st.builds(lambda part: Drawn("message/rfc822", (), (part,)), inner),
    ),
    max_leaves=12,
)


def _written(drawn: Drawn, level: int = 0) -> str:
    if drawn.kind == "message/rfc822":
        inner = f"Subject: level {level}\r\n" + _written(drawn.parts[0], level + 1)
        return f"Content-Type: message/rfc822\r\n\r\n{inner}"
    if not drawn.parts:
        return f"Content-Type: {drawn.kind}\r\n\r\n" + "\r\n".join(drawn.lines)
    boundary = f"=_{level}"
    parts = "".join(f"\r\n--{boundary}\r\n{_written(part, level + 1)}" for part in drawn.parts)
    return f'Content-Type: {drawn.kind}; boundary="{boundary}"\r\n\r\npreamble{parts}\r\n--{boundary}--\r\n'


@given(_DRAWN)
def test_the_standard_library_sees_the_same_tree(drawn: Drawn) -> None:
    octets = ("Subject: outermost\r\n" + _written(drawn)).encode()
    oracle = email.message_from_bytes(octets, policy=email.policy.compat32)

    _compare(octets, read_tree(octets), oracle)


def _compare(octets: bytes, entity: Entity, oracle: Message) -> None:
    assert entity.type.value.decode() == oracle.get_content_type()
    if entity.kind in {MULTIPART, MESSAGE}:
        payload = oracle.get_payload()
        assert isinstance(payload, list)
        assert len(entity.children) == len(payload)
        for child, other in zip(entity.children, payload, strict=True):
            assert isinstance(other, Message)
            _compare(octets, child, other)
    else:
        body = octets[entity.body : entity.end].decode()
        assert body == oracle.get_payload()


@given(_DRAWN)
def test_sections_hold_what_was_written(drawn: Drawn) -> None:
    octets = _written(drawn).encode()
    parts = unpack_parts(scan(octets).parts)

    for path, leaf in _numbered(drawn, ()):
        place = parts.section(path)
        assert place is not None
        # Line ends before a delimiter belong to the delimiter.
        assert octets[slice(*place)].decode() == "\r\n".join(leaf.lines)


def _numbered(drawn: Drawn, path: tuple[int, ...]) -> list[tuple[tuple[int, ...], Drawn]]:
    """Return the leaves under the numbers of RFC 3501 §6.4.5."""
    if drawn.kind.startswith("multipart/"):
        parts = enumerate(drawn.parts, 1)
        return [found for n, part in parts for found in _numbered(part, (*path, n))]
    here = path or (1,)  # a message that is no multipart is its own part 1
    if drawn.kind == "message/rfc822":
        inner = drawn.parts[0]
        return _numbered(inner, here if inner.kind.startswith("multipart/") else (*here, 1))
    return [(here, drawn)]
