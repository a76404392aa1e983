"""``python -m policy_engine``, and the command ``policy``."""

from __future__ import annotations

from functools import partial

from policy_engine.service import NAME, serve
from policy_engine.settings import PolicySettings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Run the service until it is told to stop."""
    settings = load(PolicySettings)
    run(NAME, settings, partial(serve, settings))


if __name__ == "__main__":
    main()
