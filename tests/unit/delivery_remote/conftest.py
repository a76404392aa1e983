"""The service runs on uvloop, so its conversations are tested there, beside the plain loop."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    plain = {"asyncio": asyncio.new_event_loop} if item.path.stem == "test_session" else {}
    return {"uvloop": uvloop.new_event_loop, **plain}
