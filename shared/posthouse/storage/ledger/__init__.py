"""The ledger: every message we answered 250 for, every recipient, what became of each.

It is the truth; the broker only moves work (promise 5). Every change here may be repeated: a
recipient that is settled stays settled, and the caller learns which rows really changed.
"""

from posthouse.storage.ledger.claiming import Claim, Claims
from posthouse.storage.ledger.dying import mark_dead, revive
from posthouse.storage.ledger.entries import NewMail, NewRecipient, Origin, enter
from posthouse.storage.ledger.holding import CANCELLED, Held, cancel, count_held, held, release_now
from posthouse.storage.ledger.intake import Intake
from posthouse.storage.ledger.locking import Open
from posthouse.storage.ledger.publishing import claim_unpublished, iterate_unsettled, published
from posthouse.storage.ledger.releasing import release
from posthouse.storage.ledger.routing import (
    Branch,
    Decision,
    Expanded,
    Kept,
    routed,
    standings,
)
from posthouse.storage.ledger.settler import Settler
from posthouse.storage.ledger.settling import Settled, Settlement, settle, settle_many, unsettled
from posthouse.storage.ledger.standing import (
    Facts,
    Road,
    Standing,
    State,
    envelopes_of,
    facts_of,
)

__all__ = [
    "CANCELLED",
    "Branch",
    "Claim",
    "Claims",
    "Decision",
    "Expanded",
    "Facts",
    "Held",
    "Intake",
    "Kept",
    "NewMail",
    "NewRecipient",
    "Open",
    "Origin",
    "Road",
    "Settled",
    "Settlement",
    "Settler",
    "Standing",
    "State",
    "cancel",
    "claim_unpublished",
    "count_held",
    "enter",
    "envelopes_of",
    "facts_of",
    "held",
    "iterate_unsettled",
    "mark_dead",
    "published",
    "release",
    "release_now",
    "revive",
    "routed",
    "settle",
    "settle_many",
    "standings",
    "unsettled",
]
