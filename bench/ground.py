"""Where a system is laid out: a folder in a part of the file system of its own.

ext4 passes over inodes that were deleted in the last minutes, one by one, whenever it makes a file
in the same block group. A mail queue deletes thousands, so the system measured next would pay up
to a millisecond of processor time per file for its predecessor (measured: 0.35 instead of 0.03 ms).
Folders below a directory with the "top of hierarchies" attribute get groups apart from each other.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

GROUND = Path("/var/tmp/posthouse-bench")  # noqa: S108 - each system's folder in it is its own


@contextmanager
def ground(say: Callable[[str], None]) -> Iterator[Path]:
    """Make a folder for one system; it is removed at the end."""
    GROUND.mkdir(mode=0o755, exist_ok=True)
    marked = subprocess.run(  # noqa: S603 - our own arguments
        ["chattr", "+T", str(GROUND)],  # noqa: S607 - e2fsprogs, wherever it is
        check=False,
        capture_output=True,
    )
    if marked.returncode:
        say(
            f"{GROUND} is no ext4: the systems share its inodes, the second one may pay for the first"
        )
    folder = Path(tempfile.mkdtemp(dir=GROUND))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
