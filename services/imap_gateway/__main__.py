"""``python -m imap_gateway``, and the command ``imap-gateway``."""

from __future__ import annotations

from functools import partial

from imap_gateway.service import NAME, serve
from imap_gateway.settings import ImapSettings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Run the service until it is told to stop."""
    settings = load(ImapSettings)
    run(NAME, settings, partial(serve, settings))


if __name__ == "__main__":
    main()
