"""What a change of the directory may be refused for; API and CLI turn these into words."""

from __future__ import annotations


class DirectoryError(Exception):
    """The directory does not allow this change."""


class NoSuchEntry(DirectoryError):
    """What should be changed, or what it should belong to, is not there."""


class AlreadyThere(DirectoryError):
    """An entry of that name exists."""


class StillInUse(DirectoryError):
    """Other entries depend on it."""
