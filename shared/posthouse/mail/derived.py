"""What is derived from a value once and kept with it.

Like `functools.cached_property`, which up to Python 3.11 has one lock for all objects of a class: a
thread that works on one large message would hold up the event loop at each small one. Here two
threads may derive the same at once; both get the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class derived(Generic[T]):  # noqa: N801 - used as a decorator, like property
    """Decorates a method of a class whose objects have a ``__dict__``."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: object | None, kind: type) -> Self | T:
        if owner is None:
            return self
        made = owner.__dict__[self._name] = self._make(owner)
        return made
