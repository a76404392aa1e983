"""``make run``: bring the whole system up on this machine, show it, and stay until Ctrl-C."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from onemachine import demo
from onemachine.options import HOSTNAME, BadOption, Options, options
from onemachine.ports import PortTaken
from onemachine.ready import NotReady, leaves
from onemachine.stack import AlreadyRunning, Stack, remove_data
from onemachine.status import addresses, processes, watch

_VAR = Path("var")
_LOG_COLUMNS = 160  # where nobody looks at a terminal
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXPECTED = (AlreadyRunning, BadOption, PortTaken, NotReady, demo.DemoFailed)


async def run(chosen: Options, console: Console) -> None:
    """Start, show, stay until a signal, stop."""
    began, stop = time.monotonic(), asyncio.Event()
    for number in _STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False, soft_wrap=True)

    stack = Stack(chosen, say)
    try:
        starting = asyncio.create_task(_bring_up(stack, console, say))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            await starting
            await watch(stack, stop, console, say)
        starting.cancel()
        await asyncio.wait([starting])
    finally:
        await _take_down(stack, console)


async def _take_down(stack: Stack, console: Console) -> None:
    """Stop everything; of a stack that never began there is nothing to tell."""
    began = any(part.child for part in stack.parts)
    if began:
        console.print("stopping")
    ended = time.monotonic()
    await stack.stop()
    if began:
        console.print(
            f"stopped in {time.monotonic() - ended:.1f} s; the data stays in {stack.options.var}"
        )


async def _bring_up(stack: Stack, console: Console, say: Callable[[str], None]) -> None:
    await stack.start()
    known = demo.demo_of(stack, HOSTNAME)
    demo.write_demo(known, stack)
    await asyncio.to_thread(demo.introduce, known, say)
    say("everything runs")
    summary = [addresses(stack, known), "Ctrl-C stops everything"]
    if not console.is_terminal:  # a terminal shows them live
        summary.insert(1, processes(stack.parts))
    console.print("\n".join(summary), markup=False, soft_wrap=True)


def main() -> int:
    """Run the stack, or with ``clean`` remove what it left behind."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LOG_COLUMNS)
    var = Path(os.environ.get("POSTHOUSE_VAR") or _VAR).absolute()
    status = 0
    try:
        if sys.argv[1:] == ["clean"]:
            remove_data(var)
        else:
            asyncio.run(run(options(os.environ, var), console))
    except* _EXPECTED as group:
        status = 1
        for problem in leaves(group):
            console.print(str(problem), style="red", markup=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
