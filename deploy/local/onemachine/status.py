"""What a person sees: the table of addresses and users, then one live line per part."""

import asyncio
from collections.abc import Mapping

from rich.console import Console
from rich.live import Live
from rich.table import Table

from onemachine.demo import Demo
from onemachine.ports import COPY_STRIDE, LOOPBACK
from onemachine.services import Service
from onemachine.stack import Stack

_LOOK_EVERY_SECONDS = 2.0


def addresses(stack: Stack, demo: Demo) -> Table:
    """Return the table of what can be reached, how, and as whom."""
    ports = demo.ports
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("SMTP", f"{LOOPBACK}:{ports['SMTP_PORT']} (mail for {', '.join(demo.users)})")
    table.add_row(
        "submission",
        f"{LOOPBACK}:{ports['SUBMISSION_PORT']} STARTTLS, {LOOPBACK}:{ports['SMTPS_PORT']} TLS",
    )
    table.add_row("IMAP", f"{LOOPBACK}:{ports['IMAP_PORT']}, {LOOPBACK}:{ports['IMAPS_PORT']} TLS")
    table.add_row("POP3", f"{LOOPBACK}:{ports['POP3_PORT']}, {LOOPBACK}:{ports['POP3S_PORT']} TLS")
    for address, password in demo.users.items():
        table.add_row("user", f"{address}  password {password}")
    table.add_row(
        "API", f"{demo.api_url}/api/v1 (token and all else: {stack.options.var}/demo.json)"
    )
    table.add_row("RabbitMQ", stack.servers.rabbitmq.url)
    table.add_row("PostgreSQL", f"{stack.servers.postgres.url('posthouse')}")
    table.add_row("certificates", f"trust {demo.authority}")
    for copy in range(1, stack.options.copies):
        table.add_row("", f"copy {copy + 1} listens on the same ports + {copy * COPY_STRIDE}")
    return table


async def watch(stack: Stack, stop: asyncio.Event, console: Console) -> None:
    """Show how every part does until ``stop``: live on a terminal, changes only elsewhere."""
    if not console.is_terminal:
        await _tell_changes(stack, stop, console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not stop.is_set():
            live.update(_lines(stack, await _troubles(stack)), refresh=True)
            await _pause(stop)


async def _tell_changes(stack: Stack, stop: asyncio.Event, console: Console) -> None:
    before: Mapping[str, str | None] = dict.fromkeys(service.name for service in stack.services)
    while not stop.is_set():
        now = await _troubles(stack)
        for name, trouble in now.items():
            if trouble != before[name]:
                console.print(f"{name}: {trouble or 'ready again'}", markup=False, soft_wrap=True)
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
