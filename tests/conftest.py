"""What every test may ask for, and how hard the properties are tried."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from posthouse.telemetry.logs import with_context

_OWN_HOUSES = {"test_faults", "test_copies"}  # journeys that start a system for themselves

pytest_plugins = ["support.servers"]

# The same examples each time: new ones are looked for by `make fuzz`, not when somebody's change
# waits for its judgement.
settings.register_profile("check", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("local", deadline=None, derandomize=True)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# structlog's own traceback is a picture that takes a third of a second to draw.
structlog.configure(
    processors=[
        with_context,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Search for no garbage while modules are loaded, and never again among what they made."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class _Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Gives tests that share a running system to one worker: starting it takes longer than they.

    Pure tests go by the file: each by itself costs xdist more time than they take. Those with
    servers go one by one, for the last files would keep one worker while the others are done.
    (xdist's own ``--dist loadgroup`` marks tests by a private attribute that pytest 9 left.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if "/integration/" in file:
            return nodeid
        if "/journeys/" in file and Path(file).stem not in _OWN_HOUSES:
            return "the shared house"
        return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Answer xdist's question who runs what."""
    return _Together(config, log)
