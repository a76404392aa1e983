"""Child processes that never outlive their parent.

Each is started through util-linux's ``setpriv``, which asks the kernel to signal it when the
parent dies, however the parent dies. What is running is also written to a file, so that the next
start can wait for the last ones of a killed run; a process is ended from there only if its start
time proves that the number still means the same process.
"""

import asyncio
import json
import os
import pwd
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

_SETPRIV = shutil.which("setpriv") or "setpriv"  # what is started may have a PATH of its own
_KILL_AFTER_SECONDS = 20.0
_LOOK_EVERY_SECONDS = 0.05
_LONGEST_TOLD = 500
_ERROR = re.compile(r"[A-Za-z_][\w.]*: ")
YIELDING = 5  # "nice"; 0 is usual, 19 the most patient
_START_TIME_FIELD = 19  # of /proc/PID/stat behind the name: field 22 of proc(5), in clock ticks


class _Record(TypedDict):
    name: str
    pid: int
    started: int
    signal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a child is started and asked to stop.

    Attributes:
        name: What people call it; its log is ``<name>.log``.
        argv: The program and its arguments.
        env: Its whole environment.
        stop: The signal that means "stop in good order".
        user: Whose rights it takes (root only); ``None`` keeps ours.
        yields: Where cores are short it waits behind the others.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stop: signal.Signals = signal.SIGTERM
    user: str | None = None
    yields: bool = False


class Registry:
    """The file that lists which children run, and the folder of their logs."""

    def __init__(self, var: Path) -> None:
        self.logs = var / "log"
        self._file = var / "children.json"
        self._records: dict[int, _Record] = {}

    def add(self, command: Command, pid: int) -> None:
        """Note that ``command`` runs as ``pid``."""
        started = _started(pid)
        if started is not None:
            self._records[pid] = _Record(
                name=command.name, pid=pid, started=started, signal=int(command.stop)
            )
            self._write()

    def remove(self, pid: int) -> None:
        """Note that ``pid`` has ended."""
        if self._records.pop(pid, None):
            self._write()

    async def end_leftovers(self) -> list[str]:
        """End what a killed run left behind; return the names."""
        if not self._file.exists():
            return []
        records: list[_Record] = json.loads(self._file.read_text())
        alive = [record for record in records if _is_same(record)]
        for record in alive:
            with suppress(ProcessLookupError):
                os.kill(record["pid"], record["signal"])
        try:
            async with asyncio.timeout(_KILL_AFTER_SECONDS):
                await _gone(alive)
        except TimeoutError:
            for record in alive:
                if _is_same(record):
                    os.kill(record["pid"], signal.SIGKILL)
            await _gone(alive)
        self._file.unlink()
        return [record["name"] for record in alive]

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(list(self._records.values())))
        fresh.replace(self._file)


class Child:
    """One running process."""

    def __init__(
        self, command: Command, process: asyncio.subprocess.Process, registry: Registry
    ) -> None:
        self.command = command
        self.process = process
        self._registry = registry

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.returncode is None

    async def wait(self) -> int:
        """Wait for its end, however it comes; return its exit status."""
        status = await self.process.wait()
        self._registry.remove(self.process.pid)
        return status

    async def stop(self, patience: float = _KILL_AFTER_SECONDS) -> None:
        """Ask it to stop; after ``patience`` seconds end it."""
        if self.alive:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.command.stop)
            try:
                async with asyncio.timeout(patience):
                    await self.process.wait()
            except TimeoutError:
                self.kill()
        await self.wait()

    def kill(self) -> None:
        """End it at once, as a power cut would (``kill -9``)."""
        if self.alive:
            with suppress(ProcessLookupError):
                self.process.kill()


def mortal(
    *argv: str, user: str | None = None, ends_by: signal.Signals = signal.SIGKILL
) -> list[str]:
    """Return ``argv`` so that it ends with us, however we end; as ``user``, if root starts it.

    The kernel forgets that of a process that takes another user's rights by itself.
    """
    rights: list[str] = []
    if user is not None and os.geteuid() == 0:
        group = pwd.getpwnam(user).pw_gid
        rights = [f"--reuid={user}", f"--regid={group}", "--init-groups"]
    return [_SETPRIV, f"--pdeathsig={ends_by.name}", *rights, "--", *argv]


async def spawn(command: Command, registry: Registry) -> Child:
    """Start ``command``; its output goes to its log."""
    registry.logs.mkdir(parents=True, exist_ok=True)
    with (registry.logs / f"{command.name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *mortal(*command.argv, user=command.user, ends_by=command.stop),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(command.env),
            start_new_session=True,  # Ctrl-C is for the parent, which then stops all in order
        )
    registry.add(command, process.pid)
    if command.yields:
        _yield(process.pid)
    return Child(command, process, registry)


def _yield(pid: int) -> None:
    """Let the child ``pid`` have a third of the share of others where cores are short (sched(7)).

    Whoever started us with less of it has given that to all. Kernels that share cores by session
    first (autogroup) look at the session's own value.
    """
    before = os.getpriority(os.PRIO_PROCESS, pid)
    os.setpriority(os.PRIO_PROCESS, pid, max(YIELDING, before))  # only root may ask for more again
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        with suppress(BlockingIOError):  # of others than root it takes ten wishes a second
            group.write_text(str(YIELDING))


async def run(command: Command, registry: Registry) -> None:
    """Run ``command`` to its end; `RuntimeError` with its last words if it fails."""
    child = await spawn(command, registry)
    if await child.wait() != 0:
        raise RuntimeError(
            f"{command.name} ended with status {child.process.returncode}:\n"
            f"{last_words(registry, command.name)}"
        )


def last_words(registry: Registry, name: str, lines: int = 12) -> str:
    """Return the end of a child's log."""
    log = registry.logs / f"{name}.log"
    if not log.exists():
        return f"({log} does not exist)"
    kept = log.read_text(errors="replace").splitlines()[-lines:]
    if kept and (told := _told_by(kept[-1])):
        return f"{told}\n(all of it: {log})"
    return "\n".join(_told_by(line) or line for line in kept)


def _told_by(line: str) -> str:
    """Return event and reason of a service's log line in one line; empty if it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(record, dict) or "event" not in record:
        return ""
    # Of a traceback the last line that names an error tells why; behind it stands only its frame.
    trace = [text.strip(" |+-") for text in str(record.get("exception", "")).splitlines()]
    errors = [text for text in trace if _ERROR.match(text)]
    reasons = [str(record[key]) for key in ("reason", "error") if record.get(key)] or errors[-1:]
    return ": ".join([str(record["event"]), *reasons])[:_LONGEST_TOLD]


def _started(pid: int) -> int | None:
    """When ``pid`` started, in clock ticks since boot; ``None`` if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] == "Z" else int(after_name[_START_TIME_FIELD])


def _is_same(record: _Record) -> bool:
    return _started(record["pid"]) == record["started"]


async def _gone(records: Sequence[_Record]) -> None:
    """Wait until none runs; they are not our children, so nobody would tell us."""
    while True:
        if not any(_is_same(record) for record in records):
            return
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
