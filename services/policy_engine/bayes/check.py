"""The check: how much a message looks like the spam that was learned, and unlike the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from policy_engine.bayes.memory import Memory, whose
from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from posthouse.bayes.combining import LEAST_TOKENS, Totals, belief_in, rules_of
from posthouse.bayes.tokens import tokens_of
from posthouse.mail.address import DETAIL_DELIMITER, BadAddress, parse_address

IN_THREAD_OCTETS = 12 * 1024  # a larger message takes more than a millisecond


class Bayes:
    """Judges mail that comes to this house by what it has learned."""

    name = "bayes"
    if_away: Action | None = None
    wants_all = False
    of_ours = False

    def __init__(self, memory: Memory, scores: Mapping[str, float]) -> None:
        """Judge by ``memory``; ``scores`` are those of the bands."""
        self._memory = memory
        self._scores = scores

    @property
    def of_strangers(self) -> bool:
        """True as soon as somebody has learned enough."""
        return self._memory.is_ready

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return the band that ``case`` falls into; nothing where too little is known of it."""
        corpus = await self._memory.corpus_for(list(map(account_of, case.recipients)))
        if corpus is None:
            return ()
        if len(case.octets) > IN_THREAD_OCTETS:
            tokens = await asyncio.to_thread(_tokens, case)
        else:
            tokens = _tokens(case)
        counts = await self._memory.counts(corpus.owner, tokens)
        belief = belief_in(tokens, counts, Totals(corpus.spam, corpus.ham))
        if belief.used < LEAST_TOKENS:
            return ()
        seen = f"{belief.spam:.4f} by {belief.used} of {len(tokens)} tokens, learned by {whose(corpus)}"
        return tuple(
            Finding(rule=rule, score=self._scores[rule], seen=seen)
            for rule in rules_of(belief.spam)
        )


def _tokens(case: Case) -> tuple[int, ...]:
    return tokens_of(case.octets, case.letter.tree)  # which the rules read, too


def account_of(recipient: str) -> str:
    """Return the address whose account may have learned something: without detail, lower case.

    Empty for what is no address.
    """
    try:
        address = parse_address(recipient)
    except BadAddress:
        return ""
    local = address.detail(DETAIL_DELIMITER)[0]
    return f"{local}@{address.domain}".lower()
