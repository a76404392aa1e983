"""Sealing: who has the last word on a header, and signs what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from policy_engine.content.case import Case


class Sealer(Protocol):
    """Makes fields that cover the header as it is to be stored: DKIM-Signature, an ARC set."""

    @property
    def of_ours(self) -> bool:
        """True if it has something to say of mail of this house."""

    @property
    def of_strangers(self) -> bool:
        """True if it has something to say of all other mail."""

    async def __call__(self, case: Case, header: bytes) -> bytes:
        """Return the fields to be put on top of ``header``, with their line ends; empty for none.

        The body, or its digests, and who sent it are the case's; its own header is not what is
        stored. Raises `Unavailable`; then nobody has judged.
        """


async def sealed(sealers: Sequence[Sealer], case: Case, header: bytes) -> bytes:
    """Return ``header`` below the fields of ``sealers``, each of which covers those before it."""
    for seal in sealers:
        if seal.of_ours if case.is_trusted else seal.of_strangers:
            header = await seal(case, header) + header
    return header
