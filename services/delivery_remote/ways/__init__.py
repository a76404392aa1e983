"""Finding the way of a mail: routes of operators, relays of senders, MX records (RFC 5321 §5.1)."""

from delivery_remote.ways.exchanges import Families, Ours, parse_ours
from delivery_remote.ways.finding import Ways
from delivery_remote.ways.servers import Customs

__all__ = ["Customs", "Families", "Ours", "Ways", "parse_ours"]
