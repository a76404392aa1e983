"""The report on a day's sessions with one domain: whom it goes to, its JSON (RFC 8460).

_smtp._tls.example.org  TXT "v=TLSRPTv1; rua=mailto:tls@example.org,https://tls.example.org/v1"
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import idna

from posthouse.mail.address import BadAddress, parse_address
from posthouse.storage.tls_results import Result
from postmaster.reports.letter import Form, Letterhead, Report

VERSION = "TLSRPTv1"
MEDIA_TYPE = "application/tlsrpt+gzip"  # §6.5
MAX_PLACES = 5  # that one report goes to
MAX_URL_CHARACTERS = 1000

_URL = re.compile(r"https://[!-~]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a domain wants its reports.

    Attributes:
        addresses: Of mail.
        urls: To be posted to.
    """

    addresses: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


def places_in(records: Iterable[str]) -> Places | None:
    """Return where reports go, None if nobody wants them: there is not one valid record (§3)."""
    texts = [text for text in records if text.partition(";")[0].strip() == f"v={VERSION}"]
    if len(texts) != 1:
        return None
    fields = (field.strip().partition("=") for field in texts[0].split(";")[1:])
    wanted = next((value for name, _, value in fields if name.strip() == "rua"), "")
    uris = list(dict.fromkeys(uri.strip() for uri in wanted.split(",")))[:MAX_PLACES]
    addresses = tuple(filter(None, map(_address, uris)))
    urls = tuple(uri for uri in uris if len(uri) <= MAX_URL_CHARACTERS and _URL.fullmatch(uri))
    return Places(addresses, urls) if addresses or urls else None


def _address(uri: str) -> str:
    """Return the address in ``mailto:...`` (RFC 6068 §2), empty if there is none that will do."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "mailto":
        return ""
    try:
        address = str(parse_address(unquote(rest.partition("?")[0])))
    except BadAddress:
        return ""
    return address if address.isascii() else ""


def compose(head: Letterhead, day: date, domain: str, results: Sequence[Result]) -> Report:
    """Return the report on ``results``, all of ``day`` and ``domain``."""
    begins, ends = f"{day:%F}T00:00:00Z", f"{day:%F}T23:59:59Z"
    ident, name = f"{begins}_{domain}_{head.host}", _in_ascii(domain)
    ordered = sorted(results, key=lambda result: result.kind)
    document = {
        "organization-name": head.organization,
        "date-range": {"start-datetime": begins, "end-datetime": ends},
        "contact-info": head.address,
        "report-id": ident,
        "policies": [
            _policy(name, kind, list(group))
            for kind, group in groupby(ordered, key=lambda result: result.kind)
        ],
    }
    octets = json.dumps(document, ensure_ascii=False, indent=1).encode()
    content = gzip.compress(octets, mtime=0)
    return Report(domain=name, day=day, id=ident, content=content, form=_form(head, day, name))


def _form(head: Letterhead, day: date, domain: str) -> Form:
    return Form(
        container='multipart/report; report-type="tlsrpt"',
        media_type=MEDIA_TYPE,
        extension="json.gz",
        about=(
            f"This is an aggregate TLS report (RFC 8460) from {head.organization}: how our sessions "
            f"with the mail servers of {domain} went on {day:%F} (UTC)."
        ),
        fields=(
            f"TLS-Report-Domain: {domain}",
            # §5.3: the domain of contact-info
            f"TLS-Report-Submitter: {head.address.rpartition('@')[2]}",
            "TLS-Required: No",  # §3: also to servers whose TLS fails
        ),
    )


def _policy(domain: str, kind: str, results: Sequence[Result]) -> dict[str, Any]:
    lines = next((list(result.policy) for result in results if result.policy), [])
    policy: dict[str, Any] = {"policy-type": kind, "policy-domain": domain}
    if lines:
        policy["policy-string"] = lines
    patterns = [line.partition(": ")[2] for line in lines if line.startswith("mx: ")]
    if patterns:
        policy["mx-host"] = patterns
    failed = [result for result in results if result.failure]
    worked = sum(result.sessions for result in results if not result.failure)
    said: dict[str, Any] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": worked,
            "total-failure-session-count": sum(result.sessions for result in failed),
        },
    }
    if failed:
        said["failure-details"] = list(map(_failure, failed))
    return said


def _failure(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {
        "result-type": result.failure,
        "sending-mta-ip": result.source,
        "receiving-mx-hostname": result.host,
        "receiving-ip": result.address,
        "failure-reason-code": result.why,
    }
    return {name: value for name, value in told.items() if value} | {
        "failed-session-count": result.sessions
    }


def _in_ascii(domain: str) -> str:
    """Return A-labels (§4.4); a domain that has none as it is."""
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain
