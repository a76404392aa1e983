"""Certificates of people: stored by what they are, for POSTHOUSE_SASL_EXTERNAL=fingerprint."""

from __future__ import annotations

import re
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter
from pydantic import AfterValidator

from posthouse.storage import directory
from postmaster.api.app_passwords import DeviceName
from postmaster.api.fields import AddressKey, Body
from postmaster.api.parts import Means
from postmaster.api.problems import not_found

_SHA_256 = re.compile(r"[0-9a-f]{64}")


def _fingerprint(text: str) -> str:
    """Return a fingerprint as it is kept, from one as openssl writes it; or `ValueError`."""
    plain = text.replace(":", "").lower()
    if not _SHA_256.fullmatch(plain):
        raise ValueError("a fingerprint is SHA-256 in 64 hexadecimal digits, colons or not")
    return plain


Fingerprint: TypeAlias = Annotated[str, AfterValidator(_fingerprint)]
router = APIRouter(tags=["certificates"])


class NewCertificate(Body):
    """A certificate that is to log in as an account."""

    address: AddressKey
    name: DeviceName
    fingerprint: Fingerprint


@router.post("/certificates", status_code=HTTPStatus.CREATED)
async def add_certificate(new: NewCertificate, means: Means) -> dict[str, str]:
    """Let a certificate log in as an account; 409 if it, or the name, is taken."""
    await directory.add_certificate(means.pool, new.address, new.name, new.fingerprint)
    return {"address": new.address, "name": new.name, "fingerprint": new.fingerprint}


@router.get("/certificates")
async def list_certificates(address: AddressKey, means: Means) -> dict[str, Any]:
    """Return the certificates of an account, at most a hundred."""
    if await directory.account_by_address(means.pool, address) is None:
        raise not_found("account", address)
    found = await directory.certificates(means.pool, address)
    return {"items": [asdict(one) for one in found], "next": None}


@router.delete("/certificates", status_code=HTTPStatus.NO_CONTENT)
async def remove_certificate(address: AddressKey, name: DeviceName, means: Means) -> None:
    """Let a certificate log in no more, from its next login on; 404 if there is none."""
    await directory.remove_certificate(means.pool, address, name)
