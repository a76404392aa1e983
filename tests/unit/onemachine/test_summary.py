"""What a person reads of the one-machine stack: all of it, unbroken."""

import os
import subprocess
from pathlib import Path

from onemachine.demo import demo_of
from onemachine.options import options
from onemachine.stack import Stack
from onemachine.status import addresses, processes

ROOT = Path(__file__).parents[3]
SETTING = {f"POSTHOUSE_{name}_PORT": "0" for name in ("SMTP", "IMAP")}


def _ignore(_text: str) -> None:
    return


async def test_every_address_stands_whole_in_one_line(tmp_path: Path) -> None:
    stack = Stack(options(SETTING | {"COPIES": "2"}, tmp_path), _ignore)
    try:
        lines = addresses(stack, demo_of(stack, "mail.example.test")).splitlines()

        assert any(line.endswith(stack.servers.postgres.url("posthouse")) for line in lines)
        assert any(line.endswith(str(stack.certificates.authority)) for line in lines)
        assert lines[-1].endswith("listens on the same ports + 100")
    finally:
        await stack.stop()


async def test_what_does_not_run_is_no_process(tmp_path: Path) -> None:
    stack = Stack(options(SETTING, tmp_path), _ignore)
    try:
        assert processes(stack.parts).splitlines() == ["processes, started again if they die:"]
    finally:
        await stack.stop()


def test_the_help_fits_a_terminal() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "POSTMASTER_PORT" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80


def test_what_make_starts_keeps_its_bytecode(tmp_path: Path) -> None:
    asking = tmp_path / "asking.mk"
    asking.write_text(f"include {ROOT}/Makefile\nasked: ; @env\n")
    env = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"}

    told = subprocess.run(
        ["make", "-f", asking, "asked"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "PATH=" in told.stdout
    assert "PYTHONDONTWRITEBYTECODE" not in told.stdout
