"""What lies in the store only to be judged goes, once whoever laid it there is long dead."""

from __future__ import annotations

import os
import time
from pathlib import Path

from posthouse.blobs import open_blobs
from posthouse.mail.ids import judging_key, new_id, object_key
from postmaster.duties.collector import JUDGED_WITHIN, tidy_judged


async def test_what_is_judged_no_more_is_removed_and_nothing_else(tmp_path: Path) -> None:
    old, fresh, mail = judging_key(new_id()), judging_key(new_id()), object_key(new_id())
    async with open_blobs(f"disk:{tmp_path}") as blobs:
        for key in (old, fresh, mail):
            await blobs.put(key, b"Subject: hi\r\n\r\n")
        long_ago = time.time() - JUDGED_WITHIN.total_seconds() - 60
        for key in (old, mail):
            os.utime(tmp_path / key, (long_ago, long_ago))

        await tidy_judged(blobs)
        await tidy_judged(blobs)

        left = [found.key async for found in blobs.list()]
    assert sorted(left) == sorted([fresh, mail])
