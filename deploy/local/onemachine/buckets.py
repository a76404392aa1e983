"""Buckets of an S3 store, made and removed with plain signed requests (AWS Signature Version 4).

The object-store library of the services reads and writes objects only; buckets are an
administrator's business, and this is all of it.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from onemachine.ready import NO_TLS

REGION = "us-east-1"
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """Where an S3 store listens and with which keys it is entered."""

    endpoint: str
    access_key: str
    secret_key: str

    def store(self, bucket: str) -> str:
        """Return the value of POSTHOUSE_STORE for ``bucket``."""
        return f"s3://{bucket}?endpoint={self.endpoint}&region={REGION}"


def create_bucket(access: S3Access, bucket: str) -> None:
    """Make ``bucket``; one that is there already is fine."""
    reply = _request(access, "PUT", bucket)
    if reply.status_code != HTTPStatus.CONFLICT:
        reply.raise_for_status()


def delete_bucket(access: S3Access, bucket: str) -> None:
    """Remove ``bucket`` and what is in it; one that is gone already is fine."""
    reply = _request(access, "DELETE", bucket)
    if reply.status_code != HTTPStatus.NOT_FOUND:
        reply.raise_for_status()


def put_object(access: S3Access, bucket: str, key: str, octets: bytes) -> None:
    """Store one small object; `httpx.HTTPError` tells why not."""
    _request(access, "PUT", f"{bucket}/{key}", octets).raise_for_status()


def _request(access: S3Access, method: str, path: str, body: bytes = b"") -> httpx.Response:
    headers = _signed(access, method, f"/{path}", body)
    return httpx.request(
        method,
        f"{access.endpoint}/{path}",
        headers=headers,
        content=body,
        timeout=_TIMEOUT_SECONDS,
        verify=NO_TLS,
    )


def _signed(access: S3Access, method: str, path: str, body: bytes) -> dict[str, str]:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    content = hashlib.sha256(body).hexdigest()
    headers = {
        "host": urlsplit(access.endpoint).netloc,
        "x-amz-content-sha256": content,
        "x-amz-date": stamp,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{content}"
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{access.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature.hex()}"
    )
    return headers
