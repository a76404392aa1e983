"""``make bench``: Posthouse and Debian's Postfix + Dovecot in turn, A, B, A, B, in one sitting."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from rich.console import Console

from bench.fresh import fresh
from bench.imap import crowd, million, table
from bench.measuring import Course, Run, measure
from bench.memory import weigh
from bench.ours import posthouse
from bench.peers import peer
from bench.policy import table as judging
from bench.relaying import our_relay, peer_relay, recipients
from bench.report import note, show
from bench.system import System, Unfit
from bench.waiting import look

DOMAIN = "bench.test"
USERS = 100
WARM_UP = 300  # messages before the first run: plans, caches, first files
LARGE_OCTETS = 10 * 1024 * 1024
ONE_LARGE_IN = 75  # messages of a run: large ones are fewer
A_MILLION = 1_000_000
EXIT_BROKEN_OFF = 130
WIDTH = 120  # columns of the table
RESULTS = Path("var/bench.jsonl")

console = Console(stderr=True, highlight=False)


def courses(count: int) -> tuple[Course, ...]:
    """Return what is measured: one mail per connection, connections reused, large messages."""
    return (
        Course(name="one mail per connection", count=count, reuse=False),
        Course(name="connections reused", count=count, reuse=True),
        Course(
            name="10 MiB messages",
            count=max(count // ONE_LARGE_IN, 1),
            sessions=4,
            octets=LARGE_OCTETS,
            reuse=True,
        ),
    )


async def bench(count: int, rounds: int, *, alone: bool) -> list[Run]:
    """Deliver every course to mailboxes, on every system, ``rounds`` times in turn."""
    users = [f"u{number:03}@{DOMAIN}" for number in range(USERS)]
    starts = [posthouse(DOMAIN, users, console.print)]
    others = [] if alone else [peer(DOMAIN, users, console.print)]
    return await _in_turn([*starts, *others], courses(count), rounds, users)


async def relay(count: int, rounds: int, *, alone: bool) -> list[Run]:
    """Relay to a smtp-sink, with every system, ``rounds`` times in turn."""
    starts = [our_relay(console.print)]
    others = [] if alone else [peer_relay(console.print)]
    course = Course(name="relaying", count=count, reuse=True)
    return await _in_turn([*starts, *others], [course], rounds, recipients(USERS))


async def _in_turn(
    starts: Sequence[AbstractAsyncContextManager[System]],
    courses: Sequence[Course],
    rounds: int,
    users: Sequence[str],
) -> list[Run]:
    _end_in_good_order()
    async with AsyncExitStack() as stack:
        systems = [await stack.enter_async_context(start) for start in starts]
        for system in systems:
            await measure(system, Course(name="warm-up", count=WARM_UP, reuse=True), users)
        runs = []
        for turn in range(rounds):
            for course in courses:
                for system in systems:
                    runs.append(await measure(system, course, users))
                    _tell(turn, runs[-1])
        return runs


def _end_in_good_order() -> None:
    """Let SIGTERM, like Ctrl-C, take down what was started."""
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)


def _tell(turn: int, run: Run) -> None:
    note(run, RESULTS)
    console.print(
        f"round {turn + 1}, {run.course}, {run.system}: {run.accepted_per_second:.0f} accepted/s, "
        f"{run.delivered_per_second:.0f} delivered/s, {run.total_ms:.2f} CPU ms/mail",
        soft_wrap=True,
    )


async def _runs(given: argparse.Namespace) -> list[Run]:
    if given.fresh:
        _end_in_good_order()
        course = Course(name="fresh mail", count=given.count, reuse=True)
        return await fresh(console.print, given.queue or A_MILLION, course, given.rounds, _tell)
    what = relay if given.relay else bench
    return await what(given.count, given.rounds, alone=given.alone)


async def _imap(given: argparse.Namespace) -> int:
    """Measure what readers of mailboxes wait for, or what they cost; return the exit code."""
    _end_in_good_order()
    if given.idle:
        return await crowd.weigh(console.print, given.idle)
    if given.million:
        return await million.look(console.print)
    results = await table.compare(console.print, given.rounds, alone=given.alone, store=given.store)
    table.show(results, Console(width=WIDTH))
    return 0


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="messages per run")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--alone", action="store_true", help="only Posthouse (no root needed)")
    parser.add_argument(
        "--relay", action="store_true", help="to a server outside, not to mailboxes"
    )
    parser.add_argument("--memory", action="store_true", help="of ingress-smtp, instead of speed")
    parser.add_argument(
        "--store", choices=("disk", "s3"), default="disk", help="with --memory or --imap"
    )
    parser.add_argument(
        "--queue", type=int, metavar="RECIPIENTS", help="that wait: how long operators wait"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="with --queue: what fresh mail costs meanwhile"
    )
    parser.add_argument("--policy", action="store_true", help="judging and routing, ours alone")
    parser.add_argument("--imap", action="store_true", help="mailboxes, beside Dovecot's")
    parser.add_argument(
        "--idle", type=int, metavar="CONNECTIONS", help="with --imap: what idling readers take"
    )
    parser.add_argument(
        "--million", action="store_true", help="with --imap: a mailbox of 1,000,000 messages"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; exit 1 if a system cannot be measured here."""
    given = _given(arguments)
    try:
        if given.memory:
            sys.exit(asyncio.run(weigh(console.print, given.store)))
        if given.queue and not given.fresh:
            sys.exit(asyncio.run(look(console.print, given.queue)))
        if given.policy:
            sys.exit(asyncio.run(judging.run(console.print)))
        if given.imap:
            sys.exit(asyncio.run(_imap(given)))
        runs = asyncio.run(_runs(given))
    except Unfit as reason:
        console.print(f"cannot measure: {reason}", style="red", markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("broken off")
        sys.exit(EXIT_BROKEN_OFF)
    show(runs, Console(width=WIDTH))
    console.print(f"every run is in {RESULTS}")


if __name__ == "__main__":
    main()
