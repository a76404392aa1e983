"""What a person sees: addresses, users and processes, then one live line per part."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from onemachine.demo import Demo
from onemachine.ports import COPY_STRIDE, LOOPBACK
from onemachine.services import Service
from onemachine.stack import Stack
from onemachine.supervisor import Part

_LOOK_EVERY_SECONDS = 2.0


def addresses(stack: Stack, demo: Demo) -> str:
    """Return in lines what can be reached, how, and as whom; nothing is wrapped, all can be copied."""
    ports, var = (
        {name: f"{LOOPBACK}:{port}" for name, port in demo.ports.items()},
        stack.options.var,
    )
    rows = [
        ("SMTP", f"{ports['SMTP_PORT']} (mail for {', '.join(demo.users)})"),
        ("submission", f"{ports['SUBMISSION_PORT']} STARTTLS, {ports['SMTPS_PORT']} TLS"),
        ("IMAP", f"{ports['IMAP_PORT']}, {ports['IMAPS_PORT']} TLS"),
        ("POP3", f"{ports['POP3_PORT']}, {ports['POP3S_PORT']} TLS"),
        *(("user", f"{who}  password {word}") for who, word in demo.users.items()),
        ("API", f"{demo.api_url}/api/v1 (token and all else: {var}/demo.json)"),
        ("RabbitMQ", stack.servers.rabbitmq.url),
        ("PostgreSQL", stack.servers.postgres.url("posthouse")),
        ("certificates", f"trust {demo.authority}"),
        *(
            (f"copy {copy + 1}", f"listens on the same ports + {copy * COPY_STRIDE}")
            for copy in range(1, stack.options.copies)
        ),
    ]
    return "\n".join(f"{name:<13} {value}" for name, value in rows)


def processes(parts: Sequence[Part]) -> str:
    """Return in lines which process is which part, for those who want to kill one."""
    rows = [f"{part.name:<20} {part.child.process.pid}" for part in parts if part.child]
    return "\n".join(["processes, started again if they die:", *(f"  {row}" for row in rows)])


async def watch(
    stack: Stack, stop: asyncio.Event, console: Console, say: Callable[[str], None]
) -> None:
    """Show how every part does until ``stop``: live on a terminal; elsewhere only say changes."""
    if not console.is_terminal:
        await _tell_changes(stack, stop, say)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not stop.is_set():
            live.update(_lines(stack, await _troubles(stack)), refresh=True)
            await _pause(stop)


async def _tell_changes(stack: Stack, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    before: Mapping[str, str | None] = dict.fromkeys(service.name for service in stack.services)
    while not stop.is_set():
        now = await _troubles(stack)
        for name, trouble in now.items():
            if trouble != before[name]:
                say(f"{name}: {trouble or 'ready again'}")
        before = now
        await _pause(stop)


async def _troubles(stack: Stack) -> dict[str, str | None]:
    async def of(service: Service) -> str | None:
        if service.child is None or not service.child.alive:
            return "is down"
        return await service.trouble()

    answers = await asyncio.gather(*(of(service) for service in stack.services))
    return {service.name: answer for service, answer in zip(stack.services, answers, strict=True)}


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_EVERY_SECONDS):
            await stop.wait()
    except TimeoutError:
        return


def _lines(stack: Stack, troubles: Mapping[str, str | None]) -> Table:
    table = Table(box=None, pad_edge=False, title="Ctrl-C stops everything", title_justify="left")
    for heading in ("part", "process", "restarts", "state"):
        table.add_column(heading)
    for part in stack.parts:
        alive = part.child is not None and part.child.alive
        trouble = troubles.get(part.name) if alive else "is down"
        table.add_row(
            part.name,
            str(part.child.process.pid) if part.child and alive else "-",
            str(stack.supervisor.restarts.get(part.name, 0)),
            f"[red]{trouble}[/red]" if trouble else "[green]ready[/green]",
        )
    return table
