"""What a check found: a rule's name, its score, and what was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.mail.content import Action

__all__ = ["SEVERITY", "Action", "Finding"]

# From the mildest to what leaves nothing to decide; of several findings the last one counts.
SEVERITY: dict[Action, int] = {
    "accept": 0, "tag": 1, "quarantine": 2, "discard": 3, "reject": 4, "tempfail": 5,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found.

    Attributes:
        rule: Its name: ``SPF_FAIL``, ``BAYES_99``, ``CLAMAV``.
        score: Points for spam; negative ones against it.
        seen: What it saw, for people: in ``policy explain``, in the trace; never a secret.
        action: What it asks for by itself; None leaves that to the sum of all scores.
        text: The public text of a refusal; empty for a general one.
        enhanced: The enhanced status code of a refusal (RFC 3463).
        is_shadow: It is only tried out: it counts for nothing, and what it would change is reported.
    """

    rule: str
    score: float = 0.0
    seen: str = ""
    action: Action | None = None
    text: str = ""
    enhanced: tuple[int, int, int] = (5, 7, 1)
    is_shadow: bool = False
