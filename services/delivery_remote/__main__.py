"""Starts delivery-remote."""

from __future__ import annotations

from delivery_remote.service import NAME, serve
from delivery_remote.settings import RemoteSettings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Read the settings and serve until told to stop."""
    settings = load(RemoteSettings)
    run(NAME, settings, lambda lifecycle: serve(settings, lifecycle))


if __name__ == "__main__":
    main()
