"""``python -m delivery_local``, and the command ``delivery-local``."""

from __future__ import annotations

from functools import partial

from delivery_local.service import NAME, serve
from delivery_local.settings import LocalSettings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Run the service until it is told to stop."""
    settings = load(LocalSettings)
    run(NAME, settings, partial(serve, settings))


if __name__ == "__main__":
    main()
