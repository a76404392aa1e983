"""A command that cannot be carried out ends with a sentence and a status, never a traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

EXIT_FAILURE = 1
EXIT_STOPPED = 3  # it stopped by itself before it was through


class Failure(Exception):
    """Why a command could not be carried out, as a sentence for the operator."""

    def __init__(self, sentence: str, status: int = EXIT_FAILURE) -> None:
        super().__init__(sentence)
        self.status = status


class Group(TyperGroup):
    """The commands; a `Failure` of any of them is told on stderr and ends with its status."""

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - typer keeps the class of its contexts to itself
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            Console(stderr=True).print(
                f"posthouse: {failure}", style="red", markup=False, highlight=False, soft_wrap=True
            )
            raise typer.Exit(failure.status) from failure


def confirm(question: str, otherwise: str) -> None:
    """Ask the operator; raise `Failure` unless the answer is yes, or if nobody can be asked."""
    if not sys.stdin.isatty():
        raise Failure("There is nobody to ask: add --yes.")
    if not typer.confirm(question):
        raise Failure(otherwise)
