"""Help that is read: no types behind flags, whole sentences, every command and every option."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup, TyperOption
from typer.main import get_command
from typer.testing import CliRunner

from postmaster.cli import app

ROOT = get_command(app)  # typer reads all signatures for it, and `CliRunner.invoke` each time anew


def helped(*command: str, columns: int = 80) -> str:
    with CliRunner().isolation(env={"COLUMNS": str(columns)}) as (stdout, stderr, _):
        with pytest.raises(SystemExit) as end:
            ROOT.main([*command, "--help"], prog_name="posthouse")
        sys.stdout.flush()
        assert end.value.code == 0, stderr.getvalue()
        return stdout.getvalue().decode()


def commands() -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and of every room."""
    yield ()
    assert isinstance(ROOT, TyperGroup)
    for name, command in ROOT.commands.items():
        yield (name,)
        if isinstance(command, TyperGroup):
            yield from ((name, below) for below in command.commands)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_page_fits_the_terminal_and_says_what_each_word_is_for(
    command: tuple[str, ...],
) -> None:
    page = helped(*command)
    usage, *rest = page.splitlines()

    assert usage.startswith("Usage: ")
    assert usage.split()[2 : 2 + len(command)] == list(command)
    assert rest
    assert max(map(len, page.splitlines())) <= 80
    assert "<" not in page
    for several in ("COMMAND ...", "TARGET...", "ID...", "HOP..."):
        page = page.replace(several, "")
    assert "..." not in page
    below = ROOT
    for word in command:
        assert isinstance(below, TyperGroup)
        below = below.commands[word]
    assert below.help
    options = [each for each in below.params if isinstance(each, TyperOption)]
    for option in options:
        assert option.help, option.name
        assert all(name in page for name in (*option.opts, *option.secondary_opts))


def test_the_first_page_lists_the_commands_below_headings() -> None:
    page = helped()

    assert [line for line in page.splitlines() if line.endswith(":")] == [
        "Who is here:",
        "Where mail goes instead:",
        "Mail under way:",
        "The machinery:",
    ]


def test_arguments_and_values_have_names() -> None:
    assert "ADDRESS TARGET..." in helped("alias", "set")
    assert "[ID]" in helped("trace")
    assert "--limit NUMBER" in helped("trace")
    assert "Default: 50." in helped("trace")
    assert "--force " in helped("alias", "set")


def test_a_wide_terminal_is_not_filled() -> None:
    assert max(map(len, helped(columns=300).splitlines())) <= 100


def test_a_wrong_use_is_told_with_the_same_words() -> None:
    result = CliRunner().invoke(app, ["account", "add"])

    assert result.exit_code == 2
    assert "account add [OPTIONS] ADDRESS\n" in result.stderr
    assert "Missing argument 'ADDRESS'" in result.stderr
