"""The private names of aiosmtpd 1.4.6 that the listener stands on."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect

from aiosmtpd import smtp


def test_the_pinned_version_is_installed() -> None:
    assert importlib.metadata.version("aiosmtpd") == "1.4.6"


def test_what_we_keep_reads_only_what_our_constructor_sets() -> None:
    kept = (smtp.SMTP.connection_made, smtp.SMTP._reset_timeout, smtp.SMTP._cb_client_connected)
    names = {
        name
        for method in kept
        for name in method.__code__.co_names
        if name.startswith("_") or name in {"loop", "transport", "session", "envelope"}
    }

    assert names <= {
        "loop", "transport", "session", "envelope", "__init__", "_buffer", "_create_session",
        "_extra", "_handle_client", "_handle_hooks", "_handler_coroutine", "_original_transport",
        "_reader", "_reset_timeout", "_set_rset_state", "_timeout_cb", "_timeout_duration",
        "_timeout_handle", "_tls_handshake_okay", "_tls_protocol", "_transport", "_writer",
    }  # fmt: skip


def test_the_methods_that_we_override_are_there() -> None:
    for name in ("_handle_client", "_timeout_cb", "connection_lost", "eof_received"):
        assert callable(getattr(smtp.SMTP, name))
    assert inspect.iscoroutinefunction(smtp.SMTP._handle_client)


def test_the_streams_have_what_starttls_needs() -> None:
    reader = asyncio.StreamReader(loop=asyncio.new_event_loop())
    try:
        assert hasattr(reader, "_buffer")
        assert hasattr(reader, "_transport")
        assert inspect.iscoroutinefunction(asyncio.StreamWriter.start_tls)
    finally:
        reader._loop.close()  # type: ignore[attr-defined]
