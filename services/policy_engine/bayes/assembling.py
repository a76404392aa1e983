"""Which parts of the classifier run, by the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from policy_engine.bayes.autolearning import AutoLearning, Extremes
from policy_engine.bayes.check import Bayes
from policy_engine.bayes.memory import Memory
from policy_engine.bayes.settings import BayesSettings
from policy_engine.content.pipeline import Judged
from posthouse.storage.pool import Pool


def bayes_checks(settings: BayesSettings, pool: Pool, tasks: asyncio.TaskGroup) -> list[Bayes]:
    """Return the check, which looks what was learned as long as ``tasks`` run; none if it is off."""
    if not settings.bayes:
        return []
    memory = Memory(pool, settings.bayes_messages_min, with_accounts=settings.bayes_accounts)
    tasks.create_task(memory.watch(), name="watch bayes")
    return [Bayes(memory, settings.band_scores)]


def bayes_witnesses(
    settings: BayesSettings, pool: Pool, tasks: asyncio.TaskGroup
) -> list[Callable[[Judged], None]]:
    """Return who learns from what was judged; nobody if no score says so."""
    extremes = Extremes(spam=settings.bayes_learn_spam_score, ham=settings.bayes_learn_ham_score)
    if extremes == Extremes(spam=None, ham=None):
        return []
    learning = AutoLearning(pool, extremes)
    tasks.create_task(learning.work(), name="learn from judged mail")
    return [learning.heard]
