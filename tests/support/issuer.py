"""An OpenID Connect issuer on this machine: it publishes its keys, and signs what a test wants."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

AUDIENCE = "posthouse"
CONFIGURATION = "/realm/.well-known/openid-configuration"
MAKERS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass
class SigningKey:
    """A private key of the issuer."""

    algorithm: str
    id: str = "first"
    private: Any = None

    def __post_init__(self) -> None:
        self.private = self.private or MAKERS[self.algorithm]()

    @property
    def public(self) -> dict[str, Any]:
        """The JWK that the issuer publishes."""
        of = get_default_algorithms()[self.algorithm]
        jwk: dict[str, Any] = json.loads(of.to_jwk(self.private.public_key()))
        return {**jwk, "kid": self.id, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: dict[str, Any], **header: object) -> str:
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.id, **header})


@dataclass
class Issuer:
    """What the server says; a test may change it.

    Attributes:
        asked: The paths that were asked for.
        status: Of every answer.
    """

    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey("ES256")])
    asked: list[str] = field(default_factory=list)
    status: int = 200
    named: str = ""
    padding: int = 0

    def claims(self, **other: object) -> dict[str, Any]:
        """Return the claims of a good token for anna, changed by ``other``; None takes one out."""
        now = int(time.time())
        good = {
            "iss": self.url, "aud": AUDIENCE, "exp": now + 300, "nbf": now, "iat": now,
            "sub": "8c1f", "email": "anna@example.test", "email_verified": True, "scope": "mail",
        }  # fmt: skip
        return {name: value for name, value in (good | other).items() if value is not None}

    def token(self, **other: object) -> str:
        """Return a token for anna, signed with the first key."""
        return self.keys[0].sign(self.claims(**other))

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path == CONFIGURATION:
            return web.json_response(
                {"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys"}
            )
        keys = [key.public for key in self.keys]
        return web.json_response({"keys": keys, "padding": "x" * self.padding})


@asynccontextmanager
async def running_issuer(port: int = 0) -> AsyncIterator[Issuer]:
    """Run an issuer on loopback."""
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/{path:.*}", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/realm"
    try:
        yield issuer
    finally:
        await runner.cleanup()
