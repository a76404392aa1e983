"""The settings of the stations that tell senders, and of those who know return paths."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from posthouse.blobs import Blobs
from posthouse.mail.address import BadAddress, is_domain, is_local_part, parse_address
from posthouse.mail.return_path import DELIMITERS, ReturnPaths, Style
from posthouse.runtime.bounces import RETURNED_OCTETS, Reporter
from posthouse.runtime.dkim_keys import DkimSettings, SigningKeys
from posthouse.runtime.settings import CommonSettings
from posthouse.runtime.wordings import ENGLISH, Wordings, wordings
from posthouse.storage.directory.senders import resolve_senders
from posthouse.storage.keyring import shared_secret
from posthouse.storage.pool import Pool

RETURN_PATHS = "return-paths"  # the name of the secret that signs them


def address(text: str) -> str:
    """Return a mail address of the settings, or nothing; `ValueError` if it is none."""
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as bad:
        raise ValueError("must be a mail address") from bad


def _local_part(text: str) -> str:
    if not (is_local_part(text) and text.isascii()):
        raise ValueError("must be what stands before the @ of an address")
    return text


def _domain(text: str) -> str:
    if text and not (is_domain(text) and text.isascii()):
        raise ValueError("must be a domain name")
    return text


def _delimiters(text: str) -> str:
    if len(text) != len(DELIMITERS) or not set(text) <= set("-+=") or text.endswith("-"):
        raise ValueError("must be two of the characters -+=, the second no -")
    return text


class ReportSettings(DkimSettings):
    """What all stations that tell senders are told alike.

    Attributes:
        bounce_from: The local part of the address that reports come from.
        bounce_host: Its domain; empty for our own name.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
        report_language: The language of reports, where sender and domain say none.
        report_wordings: A folder with wordings of the operator; see `posthouse.runtime.wordings`.
        return_octets_max: Larger mail never goes back whole with a report, only its header.
    """

    bounce_from: Annotated[str, AfterValidator(_local_part)] = "MAILER-DAEMON"
    bounce_host: Annotated[str, AfterValidator(_domain)] = ""
    double_bounce_address: Annotated[str, AfterValidator(address)] = ""
    report_language: str = ENGLISH
    report_wordings: Path | None = None
    return_octets_max: Annotated[int, Field(ge=0, le=10_000_000)] = RETURNED_OCTETS

    @model_validator(mode="after")
    def _wordings_fit(self) -> ReportSettings:
        """Refuse wordings that cannot be used, and a language that nobody speaks here."""
        try:
            spoken = self.wordings
        except ValueError as wrong:
            raise ValueError(f"POSTHOUSE_REPORT_WORDINGS: {wrong}") from wrong
        if self.report_language.lower() not in spoken:
            known = ", ".join(sorted(spoken))
            raise ValueError(f"POSTHOUSE_REPORT_LANGUAGE: must be one of {known}")
        return self

    @property
    def wordings(self) -> Wordings:
        """The words of reports, by language."""
        return wordings(self.report_wordings)

    def reporter(self, blobs: Blobs, pool: Pool) -> Reporter:
        """Return who tells senders, in the language that the directory says."""
        return Reporter(
            blobs=blobs,
            hostname=self.hostname,
            author=f"{self.bounce_from}@{self.bounce_host or self.hostname}",
            double_bounce_address=self.double_bounce_address,
            return_octets_max=self.return_octets_max,
            wordings=self.wordings,
            language=self.report_language,
            language_of=partial(language_of, pool),
            sign=SigningKeys(pool, self).signed,
        )


class ReturnPathSettings(CommonSettings):
    """What those are told who write and read return paths.

    Attributes:
        return_path: What servers outside see as the sender of mail from here, where neither the
            account nor its domain says.
        verp_delimiters: What stands between a sender and the recipient, and for the recipient's @.
    """

    return_path: Style = "plain"
    verp_delimiters: Annotated[str, AfterValidator(_delimiters)] = DELIMITERS

    async def return_paths(self, pool: Pool) -> ReturnPaths:
        """Return what writes and reads them, under the secret that all pods share."""
        return ReturnPaths(await shared_secret(pool, RETURN_PATHS), self.verp_delimiters)


async def language_of(pool: Pool, address: str) -> str | None:
    """Return what the directory says of ``address``; None if nothing."""
    sender = (await resolve_senders(pool, [address]))[address]
    return sender.language if sender else None
