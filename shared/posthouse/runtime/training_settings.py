"""The settings of those who let people train the classifier."""

from __future__ import annotations

from typing import Literal, TypeAlias

from posthouse.runtime.settings import CommonSettings

Trains: TypeAlias = Literal["off", "own", "site", "both"]


class TrainingSettings(CommonSettings):
    r"""What imap-gateway is told.

    Attributes:
        bayes_junk_trains: Whose corpus learns from who moves mail into ``\Junk`` and out of it, or
            says ``$Junk`` and ``$NotJunk``: the account's ``own``, that of the ``site``, ``both``;
            ``off``: nobody's.
    """

    bayes_junk_trains: Trains = "own"
