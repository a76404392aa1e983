"""Passwords and keys of one stack: random, made once, kept in a file for its owner alone."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

_SECRET_OCTETS = 16  # half of POSTHOUSE_DKIM_SECRET's least characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Everything secret on one machine; whoever has it owns the stack."""

    postgres: str
    rabbitmq: str
    s3_access: str
    s3_secret: str
    api_token: str
    srs: str
    dkim: str
    anna: str
    bert: str


def fresh() -> Keys:
    """Make new ones; hexadecimal, so that they fit into URLs and are no option to any command."""
    return Keys(**{name: secrets.token_hex(_SECRET_OCTETS) for name in Keys.__slots__})


def kept(file: Path) -> Keys:
    """Read ``file``, or make it; what an older version did not know is added."""
    known = json.loads(file.read_text()) if file.exists() else {}
    keys = Keys(**asdict(fresh()) | known)
    if known != asdict(keys):
        write_private(file, asdict(keys))
    return keys


def write_private(file: Path, content: object) -> None:
    """Write JSON that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.replace(file)
