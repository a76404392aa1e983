"""Each service can be loaded: what clashes at import would end the process before its first log."""

import subprocess
import sys

import pytest

from onemachine.services import KINDS


@pytest.mark.parametrize("package", [kind.package for kind in KINDS])
def test_a_service_loads_by_itself(package: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import {package}.service"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
