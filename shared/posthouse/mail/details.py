"""Details of local parts: what stands behind a delimiter that a domain has chosen (RFC 5233). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.address import DETAIL_DELIMITER, Address, unquote

DELIMITERS = "+-="  # of which a domain chooses some
MAX_SPLITS = 8  # of one local part; what stands behind more of them is detail in any case


@dataclass(frozen=True, slots=True)
class Split:
    """One way to part a local part (RFC 5233 §1).

    Attributes:
        base: In lower case.
        delimiter: What stands between.
        detail: As written; never empty.
    """

    base: str
    delimiter: str
    detail: str


def splits_of(address: Address) -> tuple[Split, ...]:
    """Return all ways to part the local part by any of `DELIMITERS`, the longest base first.

    ``+`` parts where it stands first; ``-`` and ``=`` wherever they stand, as in qmail.
    """
    local = unquote(address.local)
    first = local.find(DETAIL_DELIMITER, 1)
    found = [
        Split(local[:at].lower(), each, local[at + 1 :])
        for at, each in enumerate(local)
        if 0 < at < len(local) - 1
        and each in DELIMITERS
        and (each != DETAIL_DELIMITER or at == first)
    ]
    return tuple(reversed(found[:MAX_SPLITS]))
