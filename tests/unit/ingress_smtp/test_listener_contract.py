"""The private names of aiosmtpd 1.4.6 that the listener stands on."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect

from aiosmtpd import smtp


def test_the_pinned_version_is_installed() -> None:
    assert importlib.metadata.version("aiosmtpd") == "1.4.6"


def test_what_we_keep_reads_only_what_our_constructor_sets() -> None:
    names = {
        name
        for name in smtp.SMTP._reset_timeout.__code__.co_names
        if name.startswith("_") or name in {"loop", "transport", "session", "envelope"}
    }

    assert names == {"loop", "_timeout_cb", "_timeout_duration", "_timeout_handle"}


def test_the_methods_that_we_override_are_there() -> None:
    ours = ("_handle_client", "_timeout_cb", "connection_made", "connection_lost", "eof_received")
    for name in (*ours, "data_received"):
        assert callable(getattr(smtp.SMTP, name))
    assert inspect.iscoroutinefunction(smtp.SMTP._handle_client)


async def test_the_base_controls_the_flow_without_a_reader() -> None:
    base = asyncio.StreamReaderProtocol(None, loop=asyncio.get_running_loop())  # type: ignore[arg-type]

    base.pause_writing()
    assert base._paused  # type: ignore[attr-defined]
    base.resume_writing()
    await base._drain_helper()  # type: ignore[attr-defined]

    assert not base._paused  # type: ignore[attr-defined]
