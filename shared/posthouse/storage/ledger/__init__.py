"""The ledger: every message we answered 250 for, every recipient, what became of each.

It is the truth; the broker only moves work (promise 5). Every change here may be repeated: a
recipient that is settled stays settled, and the caller learns which rows really changed.
"""

from posthouse.storage.ledger.choosing import (
    BEFORE_ALL,
    Choice,
    Chosen,
    Place,
    Waiting,
    Walk,
    choose,
)
from posthouse.storage.ledger.claiming import Claim, Claims
from posthouse.storage.ledger.deciding import (
    OPERATOR,
    Changed,
    bounce,
    delete,
    hold,
    let_go,
    note,
    reroute,
    retry,
    take,
)
from posthouse.storage.ledger.dying import Looked, look, mark_dead, revive
from posthouse.storage.ledger.entries import NewMail, NewRecipient, Origin, enter
from posthouse.storage.ledger.holding import CANCELLED, Held, cancel, count_held, held, release_now
from posthouse.storage.ledger.intake import Intake
from posthouse.storage.ledger.listing import By, Waiter, count_by, count_waiting, list_waiting
from posthouse.storage.ledger.locking import Open
from posthouse.storage.ledger.publishing import claim_unpublished, iterate_unsettled, published
from posthouse.storage.ledger.releasing import Released, release, release_some
from posthouse.storage.ledger.republishing import (
    Marked,
    all_envelopes_at,
    claim_marked,
    envelopes_at,
    requested,
    unmark,
)
from posthouse.storage.ledger.routing import (
    Branch,
    Decision,
    Expanded,
    Kept,
    branches_of,
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
    "BEFORE_ALL",
    "CANCELLED",
    "OPERATOR",
    "Branch",
    "By",
    "Changed",
    "Choice",
    "Chosen",
    "Claim",
    "Claims",
    "Decision",
    "Expanded",
    "Facts",
    "Held",
    "Intake",
    "Kept",
    "Looked",
    "Marked",
    "NewMail",
    "NewRecipient",
    "Open",
    "Origin",
    "Place",
    "Released",
    "Road",
    "Settled",
    "Settlement",
    "Settler",
    "Standing",
    "State",
    "Waiter",
    "Waiting",
    "Walk",
    "all_envelopes_at",
    "bounce",
    "branches_of",
    "cancel",
    "choose",
    "claim_marked",
    "claim_unpublished",
    "count_by",
    "count_held",
    "count_waiting",
    "delete",
    "enter",
    "envelopes_at",
    "envelopes_of",
    "facts_of",
    "held",
    "hold",
    "iterate_unsettled",
    "let_go",
    "list_waiting",
    "look",
    "mark_dead",
    "note",
    "published",
    "release",
    "release_now",
    "release_some",
    "requested",
    "reroute",
    "retry",
    "revive",
    "routed",
    "settle",
    "settle_many",
    "standings",
    "take",
    "unmark",
    "unsettled",
]
