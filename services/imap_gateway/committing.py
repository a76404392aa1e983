"""What is said of a change when PostgreSQL fails under it: NO only where nothing was done.

RFC 3501 §7.1.2 (NO: the command failed) and §7.1.5 (BYE: the session ends):

with committing():      the answer to a commit was lost ─▶ BYE: the client looks again
with after_commit():    the news cannot be read         ─▶ OK; they are told later
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType

from imap_gateway.errors import Farewell
from posthouse.mail.errors import AnswerLost, Unavailable
from posthouse.telemetry.logs import get_logger

log = get_logger()


class _Committing:
    """A class, for it comes with every change."""

    __slots__ = ("_is_partly_done",)

    def __init__(self, *, is_partly_done: bool) -> None:
        self._is_partly_done = is_partly_done

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, Unavailable):
            return
        if self._is_partly_done or isinstance(error, AnswerLost):
            log.warning("outcome not known", reason=str(error))
            raise Farewell("The storage was lost, please see what was done") from error


def committing(*, is_partly_done: bool = False) -> AbstractContextManager[None]:
    """End the session if what is done in here may have been done, or a part of it was before.

    Other failures get out.
    """
    return _Committing(is_partly_done=is_partly_done)


@contextmanager
def after_commit(otherwise: Callable[[], None] | None = None) -> Iterator[None]:
    """Let an outage only delay what is told of a change that was made; do ``otherwise`` then."""
    try:
        yield
    except Unavailable as error:
        log.warning("news not told", reason=str(error))
        if otherwise is not None:
            otherwise()
