"""One small server that answers as a row of the table has it."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.products.table import PRODUCTS, Product
from tests.support.servers import serving
from tests.support.tls import TestAuthority
from tests.support.tokens import b64url, signing_key

__all__ = ["ProductServer"]

T = TypeVar("T")

_HASHES = {"RS512": hashes.SHA512(), "RS256": hashes.SHA256()}


@dataclass
class ProductServer:
    """Answers as one product, which can be another one for each test.

    Attributes:
        product: the row.
        issued: the tokens it has given out.
        known: whether it knows the clients that ask.
        managed: requests for management URLs.
    """

    product: Product = PRODUCTS[0]
    origin: str = ""
    issued: list[str] = field(default_factory=list)
    known: bool = True
    managed: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its issuer identifier."""
        return self.origin + self.product.path

    def be(self, product: Product) -> ProductServer:
        """Answer as this product from now on."""
        self.product, self.known = product, True
        self.issued.clear()
        self.managed.clear()
        return self

    def token(self, algorithm: str | None = None, **permissions: object) -> str:
        """Sign a token in the product's own shape, with the claims that an operator adds."""
        now = int(time.time())
        product = self.product
        algorithm = algorithm or product.algorithm
        header = {**product.header, "alg": algorithm, "kid": product.keys[0]["kid"]}
        claims = {"iss": self.issuer, "iat": now, "exp": now + 60, **product.claims, **permissions}
        signed = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(claims).encode())}"
        private = signing_key(0).private
        signature = private.sign(signed.encode(), padding.PKCS1v15(), _HASHES[algorithm])
        return f"{signed}.{b64url(signature)}"

    @contextlib.contextmanager
    def running(self, tls: TestAuthority) -> Iterator[ProductServer]:
        """Run over TLS until the block ends."""
        routes = [Route("/{path:path}", self._answer, methods=["GET", "POST"])]
        context = tls.server_context("localhost")
        with serving(Starlette(routes=routes), tls=context, lifespan="off") as port:
            self.origin = f"https://localhost:{port}"
            yield self

    def _filled(self, value: T, **more: str) -> T:
        text = json.dumps(value)
        for name, filling in {"issuer": self.issuer, "origin": self.origin, **more}.items():
            text = text.replace(f"{{{name}}}", filling)
        filled: T = json.loads(text)
        return filled

    def _places(self) -> set[str]:
        """Return the paths of its metadata."""
        bare = self.product.path.rstrip("/")
        paths = set()
        for place in self.product.places:
            name, _, where = place.partition(" ")
            behind = name == "openid-configuration" or where
            paths.add(f"{bare}/.well-known/{name}" if behind else f"/.well-known/{name}{bare}")
        return paths

    async def _answer(self, request: Request) -> Response:
        url = f"{self.origin}{request.url.path}"
        metadata = self._filled({"issuer": "{issuer}", **self.product.metadata})
        if request.method == "POST" and url == metadata["token_endpoint"]:
            return await self._token(request)
        if request.method == "POST" and url == metadata.get("registration_endpoint"):
            return await self._register(request)
        if request.url.path in self._places():
            return JSONResponse(metadata)
        if url == metadata["jwks_uri"]:
            return JSONResponse({"keys": self._filled([*map(self._jwk, self.product.keys)])})
        return self._elsewhere(request)

    def _elsewhere(self, request: Request) -> Response:
        path = request.url.path
        if self.product.managed and "authorization" in request.headers:
            self.managed.append(path)
            return JSONResponse({"error": "invalid_token"}, 401)
        if f"{path}/" in self._places():
            return Response(status_code=308, headers={"location": f"{path}/"})
        status, body, headers = self.product.missing
        return Response(body, status, {"content-type": "application/json", **headers})

    def _jwk(self, members: dict[str, object]) -> dict[str, object]:
        same = members["kid"] == self.product.keys[0]["kid"] or "same" in members
        shown = {"use": None, "alg": None, "kid": None, **members}
        # The shape is to be judged too where the algorithm is another one.
        if shown["alg"] == self.product.algorithm:
            shown["alg"] = "RS512"
        return signing_key(0 if same else 1).jwk(**shown)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        assert form["grant_type"] == "client_credentials"
        if not self.known:
            refusal = self.product.refusal
            return JSONResponse(self._filled(refusal.document), refusal.status)
        credentials = request.headers["authorization"].removeprefix("Basic ")
        assert base64.b64decode(credentials).endswith(b":of-the-client")
        token = self.token()
        self.issued.append(token)
        return JSONResponse({"access_token": token, **self.product.issued})

    async def _register(self, request: Request) -> Response:
        assert self.product.registered is not None
        status, members = self.product.registered
        client_id = f"client-{len(self.product.name)}"
        managed = {}
        if self.product.managed:
            managed["registration_client_uri"] = self.origin + self.product.managed
        asked = json.loads(await request.body())
        answer = {**asked, **managed, **members, "client_id": client_id}
        return JSONResponse(self._filled(answer, client_id=client_id), status)
