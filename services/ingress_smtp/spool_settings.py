"""Where large messages go while they come in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.runtime.settings import CommonSettings


def _writable(folder: Path) -> Path:
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ValueError("must be a folder that may be written to")
    return folder


class SpoolSettings(CommonSettings):
    """The spool.

    Attributes:
        spool_folder: Its folder; None for the store's own, or the system's for temporary files.
        spool_above_octets: Larger messages go there; smaller ones stay in memory.
        spool_octets_max: Octets of messages in it, over all sessions.
    """

    spool_folder: Annotated[Path, AfterValidator(_writable)] | None = None
    spool_above_octets: Annotated[int, Field(ge=65_536, le=16_777_216)] = 262_144
    spool_octets_max: Annotated[int, Field(ge=1_048_576)] = 8_589_934_592
