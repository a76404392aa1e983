"""What a postmaster may choose about the form of messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ingress_smtp.hygiene import Choice, Rules
from posthouse.runtime.settings import CommonSettings


class HygieneSettings(CommonSettings):
    """The form that a message must have; see `hygiene.Rules` for what each one means.

    Attributes:
        bare_line_ends: ``reject`` or ``normalise``.
        nul_octets: ``reject`` or ``remove``.
        line_octets_max: In a line of a message, without its end.
        header_octets_max: In all of a header.
        header_fields_max: Fields in a header.
        hops_max: Received fields in a header.
        eight_bit_header: ``accept`` or ``reject`` it without 8BITMIME or SMTPUTF8.
        several_from: ``reject`` or ``accept`` more than one From field.
        delivered_to: ``reject`` or ``accept`` what its recipients have had.
    """

    bare_line_ends: Literal["reject", "normalise"] = "reject"
    nul_octets: Literal["reject", "remove"] = "reject"
    line_octets_max: Annotated[int, Field(ge=998, le=10_000_000)] = 65_536  # RFC 5321 §4.5.3.1.6
    header_octets_max: Annotated[int, Field(ge=16_384, le=4_194_304)] = 524_288
    header_fields_max: Annotated[int, Field(ge=100, le=100_000)] = 1000
    hops_max: Annotated[int, Field(ge=10, le=1000)] = 50  # RFC 5321 §6.3 asks 100 at least
    eight_bit_header: Choice = "accept"
    several_from: Choice = "reject"
    delivered_to: Choice = "reject"

    @property
    def rules(self) -> Rules:
        """The rules for messages."""
        return Rules(
            bare_line_ends=self.bare_line_ends,
            nul_octets=self.nul_octets,
            line_octets_max=self.line_octets_max,
            header_octets_max=self.header_octets_max,
            header_fields_max=self.header_fields_max,
            hops_max=self.hops_max,
            eight_bit_header=self.eight_bit_header,
            several_from=self.several_from,
            delivered_to=self.delivered_to,
        )
