"""Greylisting at the door: the last step of the judgement of a recipient.

Who has to wait hears 451 at RCPT, the null sender as well: its servers come again like others. Not
asked to wait are mail of this house, servers that take mail for us, answers to signed return paths of
ours, mail to postmaster and abuse, whom the lists before this step let in, and senders that SPF proves.
"""

from __future__ import annotations

import math

from policy_engine.arrival import Arrival
from policy_engine.enquiries import Memory
from policy_engine.greylisting.greylist import Greylist
from policy_engine.greylisting.triplets import triplet
from policy_engine.lists.proof import SenderProof
from policy_engine.places import must_be_reached
from policy_engine.rights import read
from posthouse.mail.admission import RcptQuestion, Verdict, refuse
from posthouse.mail.status import Status
from posthouse.storage.greylisting import Triplet
from posthouse.telemetry.metrics import counter

LATER = Status(451, (4, 7, 1))  # RFC 3463 §3.8, RFC 6647 §3
_SECONDS = 60

_GREYLISTED = counter(
    "posthouse_policy_greylisted_total", "Recipients that greylisting looked at.", "outcome"
)


class GreylistStep:
    """Lets who is not known come again."""

    def __init__(
        self,
        greylist: Greylist,
        domains: Memory[bool | None],
        proof: SenderProof | None,
        *,
        is_usual: bool,
    ) -> None:
        """Ask ``greylist`` about mail to ``domains`` that want it, where ``is_usual`` to all others.

        Who has a ``proof`` is spared.
        """
        self._greylist = greylist
        self._domains = domains
        self._proof = proof
        self._is_usual = is_usual

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Return when to come again; raise `Unavailable`."""
        about = await self._concerned(arrival)
        if about is None:
            return None
        seconds = await self._seconds(about, arrival.question)
        if not arrival.question.is_trial:
            _GREYLISTED.labels("waits" if seconds else "passes").inc()
        if not seconds:
            return None
        minutes = math.ceil(seconds / _SECONDS)
        when = "a minute" if minutes == 1 else f"{minutes} minutes"
        return refuse(LATER, f"You are not known here yet, come again in {when}", "greylist")

    async def _seconds(self, about: Triplet, asked: RcptQuestion) -> float:
        """Return how long it has to wait, 0 if it may pass."""
        seconds = None if asked.is_trial else self._greylist.recall(about)
        if seconds is not None:
            return seconds
        if self._proof is not None and await self._proof.passes(asked):
            self._greylist.remember(about)
            return 0.0
        return await (self._greylist.peek if asked.is_trial else self._greylist.waits)(about)

    async def _concerned(self, arrival: Arrival) -> Triplet | None:
        """Return who sends to whom if that is looked at, else None."""
        asked = arrival.question
        if arrival.is_trusted or arrival.is_answer or asked.is_relay:
            return None
        recipient = read(asked.recipient)
        if recipient is None or must_be_reached(recipient):
            return None
        said = (await self._domains.resolve([recipient.domain]))[recipient.domain]
        if not (self._is_usual if said is None else said):
            return None
        return triplet(asked.client, asked.sender, asked.recipient)
