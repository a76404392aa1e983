"""``python -m ingress_smtp``, and the command ``ingress-smtp``."""

from __future__ import annotations

from functools import partial

from ingress_smtp.service import NAME, serve
from ingress_smtp.settings import IngressSettings
from posthouse.runtime.service import run
from posthouse.runtime.settings import load


def main() -> None:
    """Run the service until it is told to stop."""
    settings = load(IngressSettings)
    run(NAME, settings, partial(serve, settings))


if __name__ == "__main__":
    main()
