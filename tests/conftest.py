"""What every test may ask for, and how hard the properties are tried."""

import os

from hypothesis import settings

pytest_plugins = ["support.servers"]

settings.register_profile("local", deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")
