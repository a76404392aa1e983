"""The header fields that a signature covers (RFC 6376 §3.4.1, §3.4.2, §3.7, §5.4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from posthouse.authenticity.dkim.bodies import Canon

# A field with its folding, whatever its name holds; the empty line ends the header.
_FIELD = re.compile(rb"([^\r\n:]*+):((?:[^\n]++|\n[ \t])*+)(?:\n|\Z)")
_SPACES = re.compile(rb"[ \t]+")
_VALUE_OF_B = re.compile(rb"((?:\A|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")


class Header:
    """The fields of one message, to be looked up by name again and again.

    Attributes:
        fields: Each as lower-case name and octets, with its line end.
    """

    def __init__(self, octets: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self._by_name: dict[bytes, list[bytes]] = {}
        # Each field in its forms: a large header is not put into form for each of many signatures.
        self._forms: dict[Canon, dict[bytes, bytes]] = {"simple": {}, "relaxed": {}}
        at = 0
        while at < len(octets) and octets[at : at + 1] not in {b"\r", b"\n"}:
            match = _FIELD.match(octets, at)
            if match is None:  # a line that is no field
                at = (octets.find(b"\n", at) + 1) or len(octets)
                continue
            name = match[1].rstrip(b" \t").lower()
            self.fields.append((name, match[0]))
            self._by_name.setdefault(name, []).append(match[0])
            at = match.end()

    def all(self, name: bytes) -> Sequence[bytes]:
        """Return the fields called ``name`` (lower case), in order."""
        return self._by_name.get(name, ())

    def covered(self, names: Iterable[str], canon: Canon) -> bytes:
        """Return the canonical fields of ``names``: the last of each name first (§5.4.2).

        A name that stands there more often than its field adds nothing.
        """
        left: dict[bytes, int] = {}
        found, forms = [], self._forms[canon]
        for name in names:
            key = name.lower().encode("ascii", "replace")
            fields = self._by_name.get(key, ())
            at = left.get(key, len(fields)) - 1
            if at >= 0:
                left[key] = at
                field = fields[at]
                form = forms.get(field)
                if form is None:
                    form = forms[field] = canonical(field, canon)
                found.append(form)
        return b"".join(found)


def canonical(field: bytes, canon: Canon) -> bytes:
    """Return ``field`` in its form, with a line end."""
    if canon == "simple":
        return field.removesuffix(b"\n").removesuffix(b"\r") + b"\r\n"
    name, _, value = field.partition(b":")
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    return name.rstrip(b" \t").lower() + b":" + _SPACES.sub(b" ", value).strip(b" \t") + b"\r\n"


def without_signature(field: bytes) -> bytes:
    """Return a signature's ``field`` with the value of ``b=`` empty (§3.5)."""
    name, colon, value = field.partition(b":")
    return name + colon + _VALUE_OF_B.sub(rb"\1", value, count=1)


def signed_octets(header: Header, field: bytes, names: Iterable[str], canon: Canon) -> bytes:
    """Return what a signature in ``field`` signs (§3.7): the fields, then itself, unfinished."""
    own = canonical(without_signature(field), canon).removesuffix(b"\r\n")
    return header.covered(names, canon) + own
