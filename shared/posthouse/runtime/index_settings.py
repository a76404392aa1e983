"""The settings of those who read messages for searches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from posthouse.runtime.settings import CommonSettings


class IndexSettings(CommonSettings):
    """What the postmaster and imap-gateway are told alike.

    Attributes:
        index_seconds: What one message may cost a process that reads it.
        index_memory_octets: Address space of each of them.
        index_documents: Attachments that are documents are searched, too.
    """

    index_seconds: Annotated[float, Field(gt=0, le=600)] = 20.0
    index_memory_octets: Annotated[int, Field(ge=256 * 1024 * 1024)] = 512 * 1024 * 1024
    index_documents: bool = True
