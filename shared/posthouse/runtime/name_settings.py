"""Which name servers a service asks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from posthouse.resolver import parse_nameservers
from posthouse.runtime.settings import CommonSettings


def _nameservers(text: str) -> str:
    parse_nameservers(text)
    return text


class NameSettings(CommonSettings):
    """Name servers.

    Attributes:
        nameservers: ``address[:port], ...``; empty for those of /etc/resolv.conf.
    """

    nameservers: Annotated[str, AfterValidator(_nameservers)] = ""
