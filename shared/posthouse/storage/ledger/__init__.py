"""The ledger: every message we answered 250 for, every recipient, what became of each.

It is the truth; the broker only moves work (promise 5). Every change here may be repeated: a
recipient that is settled stays settled, and the caller learns which rows really changed.
"""

from posthouse.storage.ledger.entries import NewMail, NewRecipient, Origin
from posthouse.storage.ledger.intake import Intake

__all__ = ["Intake", "NewMail", "NewRecipient", "Origin"]
