"""The conversation with one server outside; the only importer of aiosmtplib."""

from delivery_remote.session.mail import Mail
from delivery_remote.session.manners import Manners, Patience
from delivery_remote.session.opening import Refused, open_session
from delivery_remote.session.transaction import Session

__all__ = ["Mail", "Manners", "Patience", "Refused", "Session", "open_session"]
