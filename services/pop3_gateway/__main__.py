"""Starts pop3-gateway."""

from __future__ import annotations

from pop3_gateway.service import NAME, serve
from pop3_gateway.settings import Pop3Settings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Read the settings and serve until told to stop."""
    settings = load(Pop3Settings)
    run(NAME, settings, lambda lifecycle: serve(settings, lifecycle))


if __name__ == "__main__":
    main()
