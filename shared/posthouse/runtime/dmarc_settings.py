"""Whether we report on DMARC to other domains: policy counts, the postmaster sends."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from posthouse.mail.address import BadAddress, parse_address
from posthouse.runtime.settings import CommonSettings


def _address(text: str) -> str:
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as wrong:
        raise ValueError(f"is no address ({wrong})") from wrong


class DmarcSettings(CommonSettings):
    """What both are told alike.

    Attributes:
        dmarc_report_address: Who sends our DMARC reports and answers questions on them; empty: nothing
            is counted, and none are sent.
    """

    dmarc_report_address: Annotated[str, AfterValidator(_address)] = ""
