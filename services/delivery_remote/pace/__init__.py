"""How much a site gets at a time, and who is next: shaping rules, fair lines, sites of all pods."""

from delivery_remote.pace.shaping import BadShaping, Shape, Shaping, open_shaping
from delivery_remote.pace.site import Clock, Crowded, Hall, Site
from posthouse.mail.turns import Party

__all__ = [
    "BadShaping",
    "Clock",
    "Crowded",
    "Hall",
    "Party",
    "Shape",
    "Shaping",
    "Site",
    "open_shaping",
]
