"""What ``make run`` is told: where, how many, on which ports, where the objects go."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onemachine.ports import public_ports

HOSTNAME = "mail.example.test"
DOMAIN = "example.test"
DATABASE = "posthouse"
BUCKET = "mail"

MAX_COPIES = 5  # ports of copies are 100 apart: beyond that they would meet others


class BadOption(Exception):
    """An option of ``make run`` that cannot be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stack is to be built.

    Attributes:
        var: The folder for data, keys and logs.
        store: ``disk``: a folder below ``var``; ``s3``: SeaweedFS.
        copies: How many of each service.
        ports: The well-known ports of the first copies, by setting.
        settings: Further settings of the services, by their names in the environment.
    """

    var: Path
    store: Literal["disk", "s3"]
    copies: int
    ports: Mapping[str, int]
    settings: Mapping[str, str]


def settle_store(options: Options) -> None:
    """Hold ``var`` to the store of its first run; `BadOption` for another: nothing is moved.

    A folder that no longer knows, made by an older version, is told by what lies in it.
    """
    note = options.var / "store"
    if note.exists():
        kept = note.read_text().strip()
    elif (options.var / "seaweedfs").exists():
        kept = "s3"
    elif (options.var / "objects").exists():
        kept = "disk"
    else:
        kept = options.store
    if kept != options.store:
        raise BadOption(
            f"the messages in {options.var} lie in STORE={kept} and would be missing from "
            f"STORE={options.store}: run with STORE={kept}, give POSTHOUSE_VAR=another-folder, or "
            "`make clean` to throw them away"
        )
    note.write_text(kept + "\n")


def options(env: Mapping[str, str], var: Path) -> Options:
    """Read STORE, COPIES and the ports; `BadOption` or `PortTaken` if one makes no sense."""
    copies, store = env.get("COPIES") or "1", env.get("STORE") or "disk"
    if not copies.isdecimal() or not 1 <= int(copies) <= MAX_COPIES:
        raise BadOption(f"COPIES={copies}: must be a number from 1 to {MAX_COPIES}")
    settings = {name: value for name, value in env.items() if name.startswith("POSTHOUSE_")}
    ports = public_ports(env)
    match store:
        case "disk" | "s3":
            return Options(var=var, store=store, copies=int(copies), ports=ports, settings=settings)
        case _:
            raise BadOption(f"STORE={store}: must be disk or s3")
