"""``posthouse`` in the process of the tests, put together once: that takes longer than most commands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner, Result

from postmaster.cli import app

# It reads the signatures of all commands, and `CliRunner.invoke` would have it do so each time.
typer.testing._get_command = cache(get_command)  # type: ignore[attr-defined]


def posthouse(*arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
    """Run ``posthouse`` with ``arguments``; its environment is ours and ``env``."""
    return CliRunner().invoke(app, list(arguments), input=stdin, env=env)
