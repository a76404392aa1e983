"""Each service can be loaded: what clashes at import would end the process before its first log."""

import json
import subprocess
import sys

import pytest

from onemachine.services import KINDS

pytestmark = pytest.mark.integration  # processes: seconds, for which a check is too short

# A process forked for each service, behind the libraries of others, which take most of the time;
# of our own code nothing is loaded before the fork.
_EACH_BY_ITSELF = """
import importlib, json, os, sys, traceback
for library in ("aio_pika", "asyncpg", "cryptography.x509", "httpx", "pydantic_settings", "uvloop"):
    importlib.import_module(library)
assert not any(name.startswith("posthouse") for name in sys.modules)
faults = {}
for package in sys.argv[1:]:
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(f"{package}.service")
        except BaseException:
            os.write(writing, traceback.format_exc()[-4000:].encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        told = pipe.read()
    if os.wait()[1] != 0:
        faults[package] = told
print(json.dumps(faults))
"""


def _faults(*packages: str) -> dict[str, str]:
    told = subprocess.run(
        [sys.executable, "-c", _EACH_BY_ITSELF, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    faults: dict[str, str] = json.loads(told.stdout)
    return faults


def test_every_service_loads_by_itself() -> None:
    assert _faults(*(kind.package for kind in KINDS)) == {}


def test_one_that_does_not_load_would_be_told() -> None:
    assert "ModuleNotFoundError" in _faults("no_such_package")["no_such_package"]
