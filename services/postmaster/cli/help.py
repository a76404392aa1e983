"""What ``--help`` shows: usage, what the command does, then two columns, whole sentences.

The commands of ``posthouse`` are made with `Commands`, which gives them this page instead of
typer's: that names a type behind every flag and cuts sentences short.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

from postmaster.cli.failure import Group

WIDEST = 100  # columns; longer lines are hard to read
GAP = "  "
ANY_NUMBER = -1  # of values an argument takes

Row = tuple[str, str]
F = TypeVar("F", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command with our help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer keeps its contexts to itself
        """Return what follows the command's name."""
        params = self.get_params(ctx)
        return ["[OPTIONS]", *(_place(each) for each in params if isinstance(each, TyperArgument))]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write the page."""
        formatter.write(page(self, ctx))


class Room(Group):
    """Commands on one thing, with our help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - as above
        """Return what follows the room's name."""
        return ["COMMAND ..."]

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
        """Write the page."""
        formatter.write(page(self, ctx))


class Commands(typer.Typer):
    """Where commands are gathered."""

    def __init__(self, purpose: str) -> None:
        super().__init__(
            cls=Room,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode=None,
            pretty_exceptions_show_locals=False,  # locals may hold passwords
            help=purpose,
        )

    def add(self, name: str, heading: str = "Commands") -> Callable[[F], F]:
        """Make a function the command ``name``, listed under ``heading``."""
        return self.command(name, cls=Command, rich_help_panel=heading)


def page(command: TyperCommand | Room, ctx: Any) -> str:  # noqa: ANN401 - as above
    """Return the whole help of ``command``."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    paragraphs = [f"{typer.style('Usage:', bold=True)} {usage}"]
    paragraphs += [_filled(text, width) for text in (command.help or "").split("\n\n")]
    if isinstance(command, Room):
        sections = _commands(command)
        more = [f"{ctx.command_path} COMMAND --help tells more of each."]
    else:
        sections, more = _params(command, ctx), []
    left = max(len(name) for rows in sections.values() for name, _ in rows)
    paragraphs += [_section(heading, rows, left, width) for heading, rows in sections.items()]
    return "\n\n".join(paragraphs + more) + "\n"


def _commands(room: Room) -> dict[str, list[Row]]:
    """Return the commands below their headings; rooms first, as they were added."""
    headings: dict[str, list[Row]] = {}
    for name, command in sorted(room.commands.items(), key=lambda one: isinstance(one[1], Command)):
        heading = str(getattr(command, "rich_help_panel", None) or "Commands")
        headings.setdefault(heading, []).append((name, (command.help or "").split("\n\n")[0]))
    return headings


def _params(command: TyperCommand, ctx: Any) -> dict[str, list[Row]]:  # noqa: ANN401 - as above
    params = command.get_params(ctx)
    arguments = [(_name(p), p.help or "") for p in params if isinstance(p, TyperArgument)]
    options = [_option(p) for p in params if isinstance(p, TyperOption)]
    return {"Arguments": arguments, "Options": options} if arguments else {"Options": options}


def _name(argument: TyperArgument) -> str:
    return argument.metavar or str(argument.name).upper()


def _place(argument: TyperArgument) -> str:
    name = _name(argument) + ("..." if argument.nargs == ANY_NUMBER else "")
    return name if argument.required else f"[{name}]"


def _option(option: TyperOption) -> Row:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names, option.help or ""
    default = f" Default: {option.default}." if option.default else ""
    return f"{names} {option.metavar or str(option.name).upper()}", f"{option.help}{default}"


def _section(heading: str, rows: Sequence[Row], left: int, width: int) -> str:
    lines = [typer.style(f"{heading}:", bold=True)]
    for name, text in rows:
        indent = " " * (len(GAP) * 2 + left)
        lines.append(_filled(text, width, f"{GAP}{name:<{left}}{GAP}", indent))
    return "\n".join(lines)


def _filled(text: str, width: int, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
