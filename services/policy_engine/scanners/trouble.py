"""What can be wrong with a scanner, and with one question to it."""

from __future__ import annotations


class Broken(Exception):
    """What came from an address is no answer of such a scanner: it is left alone for a while."""


class TooLarge(Exception):
    """The scanner says that the message is larger than it takes."""
