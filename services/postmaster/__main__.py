"""Start the postmaster: ``python -m postmaster``."""

from __future__ import annotations

from functools import partial

from posthouse.runtime.service import run
from posthouse.runtime.settings import load
from postmaster.service import serve
from postmaster.settings import PostmasterSettings


def main() -> None:
    """Run until told to stop."""
    settings = load(PostmasterSettings)
    run("postmaster", settings, partial(serve, settings))


if __name__ == "__main__":
    main()
