"""A RabbitMQ that knows only the applications it runs.

At its start a node reads every module of every application that it finds beside itself, the fifty
plugins included that nobody enabled: half of the seconds and of the processor that a start takes.
So its start scripts get a home of their own, where only links to what is needed lie.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

_ALWAYS = ("rabbit", "rabbitmq_prelaunch")
_NEEDS = re.compile(r"\{\s*applications\s*,\s*\[([^\]]*)\]")  # of an .app file (app(4) of Erlang)


def trimmed(program: Path, home: Path, plugins: Sequence[str]) -> Path:
    """Lay out a trimmed copy of the distribution of ``program`` in ``home``; return its program.

    Args:
        program: Its ``rabbitmq-server``; its applications lie in ``../plugins``.
        home: A folder of ours, made anew: the distribution may have been upgraded.
        plugins: Those that are enabled.
    """
    scripts = program.resolve().parent
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(scripts, home / "sbin")  # they go by where they really lie: no links
    (home / "plugins").mkdir()
    for application in _needed(scripts.parent / "plugins", [*_ALWAYS, *plugins]):
        (home / "plugins" / application.name).symlink_to(application)
    return home / "sbin" / program.name


def _needed(folder: Path, wanted: list[str]) -> list[Path]:
    """Return the folders of the applications ``wanted`` and of all that they need."""
    there = {path.name.rpartition("-")[0]: path for path in folder.iterdir() if path.is_dir()}
    found: dict[str, Path] = {}
    while wanted:
        name = wanted.pop()
        if name in found or name not in there:  # Erlang's own lie elsewhere
            continue
        found[name] = there[name]
        needs = _NEEDS.search((there[name] / "ebin" / f"{name}.app").read_text())
        wanted += re.findall(r"[a-z]\w*", needs[1]) if needs else []
    return list(found.values())
