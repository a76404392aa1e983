"""Rules as they are kept, and which of them run: of several sets the last word counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from posthouse.rules.rule import Rule

SetState: TypeAlias = Literal["draft", "shadow", "live"]
RuleState: TypeAlias = Literal["disabled", "shadow", "live"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRule:
    """A rule as it is kept.

    Attributes:
        rule_set: The set it belongs to.
        rule: It, with the score that counts.
        own_score: The one that an operator gave it; None for none.
        own_state: The state that an operator gave it; None: its set's.
        tried_score: One that is tried out; None for none.
        set_state: Its set's.
    """

    rule_set: str
    rule: Rule
    own_score: float | None
    own_state: RuleState | None
    tried_score: float | None = None
    set_state: SetState

    @property
    def is_shadow(self) -> bool:
        """True if it is only tried out."""
        return self.set_state == "shadow" or self.own_state == "shadow"

    @property
    def runs(self) -> bool:
        """True if it looks at mail, whether it counts or not."""
        return self.set_state != "draft" and self.own_state != "disabled"

    @property
    def tried(self) -> StoredRule:
        """It with its tried score, where it counts for nothing without: in the shadow, or turned off."""
        is_alone = self.is_shadow or (self.rule.is_off and self.rule.kind != "score")
        if self.tried_score is None or not is_alone:
            return self
        rule = replace(self.rule, scores=(self.tried_score,))
        return replace(self, rule=rule, own_state="shadow")


def in_force(stored: Sequence[StoredRule]) -> tuple[StoredRule, ...]:
    """Return the rules by name, each with its set.

    Of several sets the last one that defines a rule counts, and the last one that gives it a score.
    A shadow takes the place of nothing that is live.
    """
    live = _merged([each for each in stored if not each.is_shadow])
    tried = _merged([each for each in stored if each.is_shadow])
    both = (*live.values(), *(each for name, each in tried.items() if name not in live))
    return tuple(each.tried for each in both)


def _merged(stored: Sequence[StoredRule]) -> dict[str, StoredRule]:
    found: dict[str, StoredRule] = {}
    scores: dict[str, tuple[float, ...]] = {}
    for each in stored:
        rule = each.rule
        if rule.scores:
            scores[rule.name] = rule.scores
        if rule.kind != "score" or rule.name not in found:
            found[rule.name] = each
    return {
        name: replace(each, rule=replace(each.rule, scores=scores.get(name, ())))
        for name, each in found.items()
    }
