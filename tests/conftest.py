"""What every test may ask for, and how hard the properties are tried."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_OWN_HOUSES = {"test_faults", "test_copies"}  # journeys that start a system for themselves

pytest_plugins = ["support.servers"]

settings.register_profile("local", deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


class _WithTheirHouse(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Gives tests that share a running system to one worker: starting it takes longer than they.

    (xdist's own ``--dist loadgroup`` marks tests by a private attribute that pytest 9 left.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if "/journeys/" not in file:
            return nodeid
        return file if Path(file).stem in _OWN_HOUSES else "the shared house"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Answer xdist's question who runs what."""
    return _WithTheirHouse(config, log)
