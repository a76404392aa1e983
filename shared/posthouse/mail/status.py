"""Reply codes and enhanced status codes (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

from dataclasses import dataclass

MIN_CODE = 200
MAX_CODE = 599


@dataclass(frozen=True, slots=True)
class Status:
    """A reply code with its enhanced status code.

    Attributes:
        code: The three-digit reply code (RFC 5321 §4.2.1).
        enhanced: class, subject and detail (RFC 3463 §2).
    """

    code: int
    enhanced: tuple[int, int, int]

    def __post_init__(self) -> None:
        if not MIN_CODE <= self.code <= MAX_CODE:
            raise ValueError(f"not a reply code: {self.code}")

    def __str__(self) -> str:
        return f"{self.code} {self.dotted}"

    @property
    def dotted(self) -> str:
        """The enhanced status code as it is written: ``5.1.1``."""
        return ".".join(map(str, self.enhanced))

    @property
    def is_permanent(self) -> bool:
        """True for 5yz: trying again cannot help (RFC 5321 §4.2.1)."""
        return self.code >= 500  # noqa: PLR2004 - the class digit itself

    @property
    def is_temporary(self) -> bool:
        """True for 4yz: trying again later may succeed (RFC 5321 §4.2.1)."""
        return 400 <= self.code < 500  # noqa: PLR2004 - the class digit itself


OK = Status(250, (2, 0, 0))
LOCAL_ERROR = Status(451, (4, 3, 0))  # RFC 3463 §3.4: other or undefined mail system status
NO_SUCH_USER = Status(550, (5, 1, 1))  # RFC 3463 §3.2
RELAY_DENIED = Status(550, (5, 7, 1))  # RFC 3463 §3.8
DISABLED = Status(550, (5, 2, 1))  # RFC 3463 §3.3
NOT_YOURS = Status(550, (5, 7, 1))  # RFC 3463 §3.8
MAILBOX_FULL = Status(452, (4, 2, 2))  # RFC 3463 §3.3, temporary: the owner may tidy up
TOO_LARGE = Status(552, (5, 3, 4))  # RFC 1870 §6.1
EXPIRED = Status(554, (5, 4, 7))  # RFC 3463 §3.5, RFC 2852 §4.1.3: the time to deliver is over
LATE = Status(451, (4, 4, 7))  # the same, and it is tried further
LOOP = Status(554, (5, 4, 6))  # RFC 3463 §3.5: routing loop detected
