"""The scanners of the settings, put together."""

from __future__ import annotations

from policy_engine.scanners.addresses import parse_addresses
from policy_engine.scanners.clamd import Clamd
from policy_engine.scanners.rspamd import Rspamd
from policy_engine.scanners.scanner import Dialect, Manners, Scanner
from policy_engine.scanners.settings import ScannerSettings
from policy_engine.scanners.spamd import Spamd
from policy_engine.scanners.stations import Stations, Terms
from posthouse.blobs import Blobs


def scanners(settings: ScannerSettings, blobs: Blobs) -> list[Scanner]:
    """Return those that have an address; none of them is watched yet (`Scanner.watch`)."""
    known: list[tuple[str, Dialect, Terms, Manners]] = [
        (
            settings.clamd,
            Clamd(settings.clamd_virus),
            settings.clamd_terms,
            settings.clamd_manners,
        ),
        (
            settings.spamd,
            Spamd(settings.spamd_user, settings.spamd_weight),
            settings.spamd_terms,
            settings.spamd_manners,
        ),
        (
            settings.rspamd,
            Rspamd(settings.rspamd_password, settings.rspamd_weight, settings.rspamd_ca),
            settings.rspamd_terms,
            settings.rspamd_manners,
        ),
    ]
    return [
        Scanner(
            dialect,
            Stations(dialect.name, parse_addresses(text, by_http=True), terms, dialect.probe),
            manners,
            blobs,
        )
        for text, dialect, terms, manners in known
        if text.strip(", ")
    ]
