"""Run a command against servers of its own: ``python -m onemachine.testservers -- pytest ...``.

They live on free ports in a temporary folder, are named to the command in POSTHOUSE_TEST_*, and are
gone when it ends. That folder, and TMPDIR of the command, is in memory where there is room: most of
what a database of one's own costs is making its 700 files, ten times dearer on a disk. PostgreSQL
does not wait for the disk either: nobody needs these data tomorrow, and the tests that pull a plug
kill processes, not machines.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onemachine.children import Registry
from onemachine.keys import fresh
from onemachine.servers import Servers, servers, stop_all

_FOR_TESTS = ("fsync=off", "full_page_writes=off", "max_wal_size=1GB", "autovacuum_naptime=10s")
_USAGE = "usage: python -m onemachine.testservers -- command arguments...\n"
_FOLDER_MODE = 0o755  # root's PostgreSQL runs with the rights of another user
_FOR_ALL = 0o1777
_MEMORY = Path("/dev/shm")  # noqa: S108
_ROOM_OCTETS = 6 << 30  # three times what all tests together have been seen to need


async def run_with_servers(argv: Sequence[str]) -> int:
    """Start the servers, run ``argv``, stop the servers; return the command's exit status."""
    var = _folder()
    (temporary := var / "tmp").mkdir()
    temporary.chmod(_FOR_ALL)
    keys = replace(fresh(), rabbitmq="guest")  # tests ask the management API as guest:guest
    started = servers(
        var, keys, Registry(var), s3=True, management=True, postgres_settings=_FOR_TESTS
    )
    try:
        await asyncio.gather(*(server.start() for server in started.all))
        command = await asyncio.create_subprocess_exec(
            *argv, env=dict(os.environ) | addresses(started) | {"TMPDIR": str(temporary)}
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, command.send_signal, number)
        return await command.wait()
    finally:
        await stop_all(started.all)
        shutil.rmtree(var)


def _folder() -> Path:
    is_roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_OCTETS
    var = Path(tempfile.mkdtemp(prefix="posthouse-test-", dir=_MEMORY if is_roomy else None))
    var.chmod(_FOLDER_MODE)
    return var


def addresses(started: Servers) -> dict[str, str]:
    """Return the environment that names the servers to the fixtures of tests/support."""
    found = {
        "POSTHOUSE_TEST_POSTGRES": started.postgres.url(),
        "POSTHOUSE_TEST_BROKER": started.rabbitmq.url,
        "POSTHOUSE_TEST_BROKER_API": started.rabbitmq.api,
    }
    if started.seaweedfs is not None:
        found["POSTHOUSE_TEST_S3"] = started.seaweedfs.access.endpoint
        found["POSTHOUSE_TEST_S3_ACCESS_KEY"] = started.seaweedfs.access_key
        found["POSTHOUSE_TEST_S3_SECRET_KEY"] = started.seaweedfs.secret_key
    return found


def main() -> int:
    """Run what stands behind ``--``."""
    arguments = sys.argv[1:]
    if arguments[:1] != ["--"] or len(arguments) == 1:
        sys.stderr.write(_USAGE)
        return os.EX_USAGE
    return asyncio.run(run_with_servers(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
