"""The options by which commands choose mail that waits; all that are given must hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, TypeAlias, get_type_hints

import typer

Which: TypeAlias = Mapping[str, Any]  # a condition's name in the API, and what was given


def _option(*names: str, metavar: str, help: str) -> Any:  # noqa: A002, ANN401 - as typer has it
    return Annotated[str | None, typer.Option(*names, metavar=metavar, help=help)]


_IDS = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID", help="Ids of messages; then mail that was not tried yet is found as well."
    ),
]
_CONDITIONS: dict[str, Any] = {
    "domain": _option(
        "--domain", metavar="DOMAIN", help="For this domain; .far.test for all below far.test."
    ),
    "sender": _option(
        "--sender",
        metavar="ADDRESS",
        help="From this address; @far.test for all of far.test, null for reports.",
    ),
    "recipient": _option(
        "--recipient", metavar="ADDRESS", help="To this address; @far.test for all of far.test."
    ),
    "tenant": _option(
        "--tenant", metavar="DOMAIN", help="Sent by accounts of this domain of ours."
    ),
    "older": _option("--older", metavar="AGE", help="Accepted at least so long ago: 30m, 4h, 2d."),
    "younger": _option("--younger", metavar="AGE", help="Accepted less long ago than that."),
    "state": _option("--state", metavar="STATE", help="deferred, held, or untried: on its way."),
    "reply": _option("--reply", metavar="TEXT", help="The last reply has this text or code."),
}


def chosen_by(options: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command ``options`` as its first parameter, a `Which`."""

    def choosing(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]
        hints = get_type_hints(command, include_extras=True)

        @wraps(command)
        def chosen(**given: Any) -> None:  # noqa: ANN401 - whatever options there are
            which = {name: given.pop(name) for name in options}
            command({name: value for name, value in which.items() if value is not None}, **given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(name, keyword, default=None, annotation=kind)
            for name, kind in options.items()
        ]
        rest = [each.replace(kind=keyword, annotation=hints[each.name]) for each in own]
        chosen.__signature__ = inspect.Signature([*added, *rest])  # type: ignore[attr-defined]
        chosen.__annotations__ = {each.name: each.annotation for each in (*added, *rest)}
        del chosen.__wrapped__
        return chosen

    return choosing


choosing = chosen_by({"id": _IDS, **_CONDITIONS})  # recipients in the queue
