"""delivery-remote is killed in the middle of filing, again and again: each mail is filed once."""

from __future__ import annotations

import mailbox
import signal
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.mail.hops import parse_hop
from posthouse.storage.directory import Route, set_route
from posthouse.storage.pool import Pool
from support.outside import MESSAGE
from support.remote_service import Office, come_true, open_office

pytestmark = pytest.mark.integration

MAILS = 60
KILLS = 2


def _filed(root: Path, kind: str) -> Counter[str]:
    """Return how often each recipient's mail lies there, as another program reads it."""
    if kind == "mbox":
        if not (root / "all").exists():
            return Counter()
        with closing(mailbox.mbox(root / "all", create=False)) as reader:
            return Counter(str(message["Delivered-To"]) for message in reader)
    new = root / "all" / "new"
    files = new.iterdir() if new.exists() else ()
    return Counter(file.read_text().splitlines()[1].partition(": ")[2] for file in files)


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
async def test_a_killed_service_files_each_mail_once(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "folders"
    root.mkdir()
    hops = (parse_hop(f"{kind}:all,create"),)
    await set_route(pool, Route(domain="classic.test", hops=hops))
    settings = {"POSTHOUSE_REMOTE_FOLDERS": str(root), "POSTHOUSE_RETRY_DELAYS": "5s"}

    async with open_office(pool, postgres_url, broker_url, tmp_path, settings) as office:
        sent = await office.post("classic.test", MAILS, MESSAGE)
        for n in range(1, KILLS + 1):
            await _killed_after(office, root, kind, MAILS * n // (KILLS + 1))
        await office.start()
        await office.all_settled()

    assert await office.states() == {"relayed": MAILS}
    assert _filed(root, kind) == Counter(to.address for mail in sent for to in mail.recipients)


async def _killed_after(office: Office, root: Path, kind: str, count: int) -> None:
    """Start the service, and kill it once ``count`` mails are filed."""
    process, _ = await office.start()

    async def is_filed() -> bool:
        return _filed(root, kind).total() >= count

    await come_true(is_filed, 60.0)
    await office.stop(process, signal.SIGKILL)
