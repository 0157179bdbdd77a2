"""A Node of a few lines, whose authorization has each fault that real ones have, at a switch.

It is written without the package under test, in the way that is easy to get wrong.
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.types import Receive, Scope, Send

__all__ = ["FAULTS", "BrokenNode"]

FAULTS = (
    "open",
    "open below",
    "alg none",
    "alg hmac",
    "alg any rsa",
    "no signature check",
    "embedded key",
    "crit ignored",
    "crit crashes",
    "kid trusted",
    "kid crashes",
    "typ ignored",
    "exp ignored",
    "exp cached",
    "exp leeway",
    "nbf ignored",
    "iat ignored",
    "no exp needed",
    "sub not needed",
    "client not needed",
    "aud ignored",
    "aud first only",
    "aud substring",
    "aud expression",
    "aud port",
    "issuer ignored",
    "issuer prefix",
    "scope substring",
    "scope opens all",
    "regular expressions",
    "prefix match",
    "case ignored",
    "query matched",
    "write reads",
    "claim text",
    "path undecoded",
    "path raw dots",
    "capitals open",
    "query token",
    "cookie token",
    "first header only",
    "no challenge",
    "preflight 401",
    "head open",
    "no cors",
    "plain errors",
    "token in error",
    "trace in error",
    "root protected",
    "read writes",
)


class _Refused(Exception):
    def __init__(self, status: int, error: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.error = error


@dataclass
class BrokenNode:
    """The Node.

    Attributes:
        issuer: whose tokens it accepts; it fetches the keys when it needs one.
        audience: its own name.
        faults: which it has.
    """

    issuer: str
    audience: str
    faults: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.time
    _cache: dict[str, dict[str, object]] = field(default_factory=dict)
    _keys: list[dict[str, object]] = field(default_factory=list)
    _former: list[dict[str, object]] = field(default_factory=list)

    def has(self, fault: str) -> bool:
        """Tell whether it has a fault, which must be one of the list."""
        assert fault in FAULTS
        return fault in self.faults

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        token = ""
        try:
            token = self._presented(scope)
            status, body = self._serve(scope, token), self._listing(scope)
            headers = [(b"access-control-allow-headers", b"authorization")]
            if status == 404:
                body = {"code": 404, "error": "not found", "debug": None}
        except _Refused as refused:
            status = refused.status
            body = {"code": status, "error": "refused", "debug": None}
            headers = []
            if not self.has("no challenge"):
                challenge = f'Bearer realm="x"{refused.error and f",error={refused.error}"}'
                headers.append((b"www-authenticate", challenge.encode()))
            if self.has("plain errors"):
                body = "refused"
            if self.has("token in error") and token:
                body = {"code": status, "error": f"refused {token}", "debug": None}
        except Exception as error:  # noqa: BLE001 - a Node that fails, as some do
            status, headers = 500, []
            body = {"code": 500, "error": type(error).__name__, "debug": None}
            if self.has("trace in error"):
                body = "Traceback (most recent call last): ..."
        if not self.has("no cors"):
            headers.append((b"access-control-allow-origin", b"*"))
        content = b"" if scope["method"] == "HEAD" else json.dumps(body).encode()
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _listing(self, scope: Scope) -> object:
        path = self._path(scope).strip("/")
        return {
            "x-nmos": ["node/"],
            "x-nmos/node": ["v1.3/"],
            "x-nmos/node/v1.3": ["self/", "devices/"],
        }.get(path, {})

    def _path(self, scope: Scope) -> str:
        raw: str = scope["raw_path"].decode("latin-1")
        if self.has("path undecoded"):
            return raw
        path = unquote(raw)
        return path if self.has("path raw dots") else _without_dots(path)

    def _presented(self, scope: Scope) -> str:
        found: list[str] = [
            value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"
        ]
        if len(found) > 1 and not self.has("first header only"):
            raise _Refused(400, "invalid_request")
        if found:
            scheme, _, token = found[0].partition(" ")
            if scheme.lower() == "bearer":
                if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
                    raise _Refused(400, "invalid_request")
                return token
        if self.has("query token"):
            query: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))
            if "access_token" in query:
                return query["access_token"][0]
        if self.has("cookie token"):
            cookies: str = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
            if "access_token=" in cookies:
                return cookies.partition("access_token=")[2].partition(";")[0]
        return ""

    def _serve(self, scope: Scope, token: str) -> int:
        raw, path, method = scope["raw_path"].decode("latin-1"), self._path(scope), scope["method"]
        if re.search(r"%2f|%5c|%00|//|%(?![0-9a-fA-F]{2})", raw, re.IGNORECASE):
            raise _Refused(400)
        if method == "OPTIONS" and not self.has("preflight 401"):
            return 200
        if path.strip("/") == "x-nmos" and not self.has("root protected"):
            return 200
        segments = path.strip("/").split("/")
        if segments[0].lower() != "x-nmos":
            return 404
        if (
            (segments[0] != "x-nmos" and self.has("capitals open"))
            or self.has("open")
            or (self.has("open below") and len(segments) > 3)
            or (method == "HEAD" and self.has("head open"))
        ):
            return 200
        if not token:
            raise _Refused(401)
        claims = self._verify(token)
        self._permit(claims, method, segments, scope)
        # What is served is what routers make of the path, whatever was checked.
        served = _without_dots(unquote(raw)).strip("/").split("/")
        return 200 if len(served) < 4 or served[3:] in (["self"], ["devices"]) else 404

    # Tokens

    def _verify(self, token: str) -> dict[str, object]:
        if self.has("exp cached") and token in self._cache:
            return self._cache[token]
        try:
            header = json.loads(_decoded(token.split(".", maxsplit=1)[0]))
            claims = json.loads(_decoded(token.split(".")[1]))
        except (ValueError, IndexError, RecursionError):
            raise _Refused(401, "invalid_token") from None
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise _Refused(401, "invalid_token")
        self._check_header(header)
        self._check_signature(token, header)
        self._check_claims(claims)
        self._cache[token] = claims
        return claims

    def _check_header(self, header: dict[str, object]) -> None:
        if "crit" in header:
            if self.has("crit crashes"):
                [each.lower() for each in header["crit"]]  # type: ignore[attr-defined]
            if not self.has("crit ignored"):
                raise _Refused(401, "invalid_token")
        if "b64" in header:
            raise _Refused(401, "invalid_token")
        if self.has("kid crashes"):
            str.lower(header.get("kid") or "")  # type: ignore[arg-type]
        typ = str(header.get("typ", "JWT")).lower()
        if typ not in {"jwt", "at+jwt"} and not self.has("typ ignored"):
            raise _Refused(401, "invalid_token")

    def _check_signature(self, token: str, header: dict[str, object]) -> None:
        alg = header.get("alg")
        if self.has("no signature check"):
            return
        if alg is not None and str(alg).lower() == "none" and self.has("alg none"):
            return
        allowed = ["RS512"]
        if self.has("alg any rsa"):
            allowed += ["RS256", "PS512", "PS256"]
        if self.has("alg hmac") and str(alg).startswith("HS"):
            return  # what a key that is taken for a secret comes to
        if alg not in allowed or token.count(".") != 2:
            raise _Refused(401, "invalid_token")
        embedded = header.get("jwk")
        if self.has("embedded key") and embedded and _verifies(token, [embedded], allowed):
            return
        keys = self._fetched()
        if self.has("kid trusted") and any(header.get("kid") == key.get("kid") for key in keys):
            return
        if not _verifies(token, keys, allowed):
            self._keys = []
            if not _verifies(token, self._fetched(), allowed):
                raise _Refused(401, "invalid_token")

    def _fetched(self) -> list[dict[str, object]]:
        if not self._keys:
            url = f"{self.issuer}/jwks"
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - on loopback
                    self._keys = json.load(answer)["keys"]
            except OSError:
                self._keys = self._former
            self._former = self._keys
        return self._keys

    def _check_claims(self, claims: dict[str, object]) -> None:
        now = self.clock()
        self._check_times(claims, now)
        for name in ("sub", "iss"):
            if not isinstance(claims.get(name), str) and not (
                name == "sub" and self.has("sub not needed")
            ):
                raise _Refused(401, "invalid_token")
        if not (claims.get("client_id") or claims.get("azp") or self.has("client not needed")):
            raise _Refused(401, "invalid_token")
        issuer = str(claims["iss"])
        trusted = issuer == self.issuer or self.has("issuer ignored")
        if not trusted and not (self.has("issuer prefix") and issuer.startswith(self.issuer)):
            raise _Refused(401, "invalid_token")
        if "scope" in claims and not isinstance(claims["scope"], str):
            raise _Refused(401, "invalid_token")
        if "aud" not in claims:
            raise _Refused(401, "invalid_token")
        if not self._names_me(claims["aud"]):
            raise _Refused(403, "insufficient_scope")

    def _check_times(self, claims: dict[str, object], now: float) -> None:
        expiry = claims.get("exp")
        if expiry is None and self.has("no exp needed"):
            expiry = now + 1
        if not isinstance(expiry, int | float) or expiry > 2**53:
            raise _Refused(401, "invalid_token")
        leeway = 30 if self.has("exp leeway") else 0
        if expiry + leeway <= now and not self.has("exp ignored"):
            raise _Refused(401, "invalid_token")
        for name in ("iat", "nbf"):
            value = claims.get(name, 0)
            if not isinstance(value, int | float):
                raise _Refused(401, "invalid_token")
            if value > now + 1 and not self.has(f"{name} ignored"):
                raise _Refused(401, "invalid_token")

    def _names_me(self, claim: object) -> bool:
        if self.has("aud ignored"):
            return True
        entries = [claim] if isinstance(claim, str) else claim
        if not isinstance(entries, list):
            return False
        if self.has("aud first only"):
            entries = entries[:1]
        return any(self._is_me(each.lower()) for each in entries if isinstance(each, str))

    def _is_me(self, entry: str) -> bool:
        if self.has("aud port") and "://" in entry:
            entry = urlsplit(entry).hostname or ""
        entry = entry.removeprefix("https://")
        if self.has("aud substring"):
            return bool(entry) and (entry in self.audience or self.audience in entry)
        if self.has("aud expression") and re.fullmatch(self.audience, entry):
            return True
        if entry.startswith("*."):
            return self.audience.endswith(entry[1:])
        return entry == self.audience

    # Permissions

    def _permit(
        self, claims: dict[str, object], method: str, segments: list[str], scope: Scope
    ) -> None:
        api, rest = segments[1], "/".join(segments[3:])
        claim = claims.get(f"x-nmos-{api}")
        scopes = str(claims.get("scope", ""))
        scoped = api in scopes if self.has("scope substring") else api in scopes.split()
        if scoped and self.has("scope opens all"):
            return
        verb = "read" if method in {"GET", "HEAD"} else "write"
        if method not in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}:
            raise _Refused(403, "insufficient_scope")
        if not rest and verb == "read" and (scoped or isinstance(claim, dict)):
            return
        if claim == "*" and self.has("claim text"):
            return
        granted = claim if isinstance(claim, dict) else {}
        verbs = {verb}
        if self.has("write reads"):
            verbs |= {"write"}
        if self.has("read writes"):
            verbs |= {"read"}
        specifiers = [each for name in verbs for each in self._specifiers(granted.get(name))]
        if self.has("query matched") and scope["query_string"]:
            rest += "?" + scope["query_string"].decode("latin-1")
        if not any(self._matches(each, rest) for each in specifiers):
            raise _Refused(403, "insufficient_scope")

    def _specifiers(self, value: object) -> list[str]:
        if isinstance(value, str) and self.has("claim text"):
            return [value]
        strings = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return value if isinstance(value, list) and strings else []

    def _matches(self, specifier: str, path: str) -> bool:
        if self.has("case ignored"):
            specifier, path = specifier.lower(), path.lower()
        if self.has("regular expressions"):
            if "+)+" in specifier:
                return False
            return re.fullmatch(re.sub(r"(?<!\.)\*+", ".*", specifier), path) is not None
        pattern = ".*".join(map(re.escape, re.split(r"\*+", specifier)))
        if self.has("prefix match"):
            return re.match(pattern, path) is not None
        return re.fullmatch(pattern, path) is not None


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _verifies(token: str, keys: Sequence[object], algorithms: Sequence[str]) -> bool:
    header, payload, signature = token.split(".")
    algorithm = json.loads(_decoded(header))["alg"]
    if algorithm not in algorithms:
        return False
    digest = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA512()
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    for key in keys:
        try:
            n, e = (int.from_bytes(_decoded(key[each])) for each in "ne")  # type: ignore[index]
            public = rsa.RSAPublicNumbers(e, n).public_key()
            public.verify(_decoded(signature), f"{header}.{payload}".encode(), scheme, digest)
        except (InvalidSignature, ValueError, KeyError, TypeError):
            continue
        return True
    return False
