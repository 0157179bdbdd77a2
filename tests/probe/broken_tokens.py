"""Whether a token is good and what it permits, with each fault that real devices have at a switch.

It is written without the package under test, in the way that is easy to get wrong.
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TypeGuard, cast
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.types import Scope

__all__ = ["TOKEN_FAULTS", "BrokenTokens", "Claims", "Refused"]

TOKEN_FAULTS = (
    "alg none",
    "alg hmac",
    "alg any rsa",
    "alg case",
    "no signature check",
    "embedded key",
    "jku followed",
    "x5u asked",
    "crit ignored",
    "crit crashes",
    "kid trusted",
    "kid crashes",
    "kid needed",
    "typ ignored",
    "typ needed",
    "segments loose",
    "base64 loose",
    "duplicates first",
    "exp ignored",
    "exp cached",
    "exp leeway",
    "exp text",
    "nbf ignored",
    "iat ignored",
    "no exp needed",
    "sub not needed",
    "client not needed",
    "azp refused",
    "aud ignored",
    "aud first only",
    "aud substring",
    "aud expression",
    "aud port",
    "aud wildcard anywhere",
    "issuer ignored",
    "issuer prefix",
    "any issuer asked",
    "any issuer accepted",
    "keys shared",
    "no refetch",
    "keys kept",
    "keys lost",
    "no keys opens",
    "waits for keys",
    "encryption keys",
    "weak keys",
    "503 for ever",
    "scope substring",
    "scope opens all",
    "regular expressions",
    "prefix match",
    "star within segment",
    "case ignored",
    "query matched",
    "write reads",
    "read writes",
    "claim text",
    "query token",
    "cookie token",
    "header token",
    "any scheme",
    "scheme exact",
    "trailing accepted",
    "claim types",
    "unknown claims refused",
    "aud scheme refused",
    "aud wildcard refused",
    "nbf refused",
    "iat needed",
    "segments crash",
    "JSON crashes",
    "scope needed",
    "scope never enough",
    "star at the end only",
    "slash before specifiers",
    "specifiers split",
    "true grants",
    "first header only",
    "unknown methods",
    "kid unknown refused",
    "header keys refused",
    "azp beside refused",
    "scope required",
    "aud list needed",
    "whole seconds",
    "wildcards needed",
    "star not empty",
    "stars refused",
    "one specifier refused",
    "unknown permissions refused",
)

Claims = Mapping[str, object]
Key = dict[str, object]

# Headers in which a token has no place.
_OTHERS = (
    *("x-authorization", "x-forwarded-authorization", "proxy-authorization"),
    *("access-token", "sec-websocket-protocol"),
)

# What a Node of this world asks its server at once, and at least so often.
_REFRESH = 3600


class Refused(Exception):
    """A request is refused."""

    def __init__(self, status: int, error: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.error = error


def _invalid() -> Refused:
    return Refused(401, "invalid_token")


@dataclass
class BrokenTokens:
    """Judges tokens.

    Attributes:
        issuer: whose tokens it accepts; it fetches the keys when it needs one.
        audience: the device's own name.
        has: tells whether it has a fault.
        clock: seconds since 1970 UTC.
        by_kid: whether it keeps a key for ever under its `kid`, as it may.
    """

    issuer: str
    audience: str
    has: Callable[[str], bool]
    clock: Callable[[], float] = time.time
    by_kid: bool = False
    _cache: dict[str, Claims] = field(default_factory=dict)
    _keys: dict[str, list[Key]] = field(default_factory=dict)
    _fetched_at: dict[str, float] = field(default_factory=dict)

    def presented(self, scope: Scope) -> str:
        """Return the token of a request, or "".

        Raises:
            Refused: what is presented is malformed.
        """
        headers: list[tuple[str, str]] = [
            (name.decode(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        found = [value for name, value in headers if name == "authorization"]
        text: str = scope["query_string"].decode("latin-1")
        query = parse_qs(text).get("access_token", [])
        if len(found) > 1 and not self.has("first header only"):
            raise Refused(400, "invalid_request")
        if scope["type"] == "websocket" and query:
            if found or len(query) > 1:
                raise Refused(400, "invalid_request")
            return query[0]
        if found:
            scheme, _, token = found[0].partition(" ")
            if self.has("trailing accepted"):
                token = token.split(" ")[0].strip('",')
            bearer = scheme == "Bearer" or not self.has("scheme exact")
            if (bearer and scheme.lower() == "bearer") or (
                self.has("any scheme") and token.count(".") == 2
            ):
                if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
                    raise Refused(400, "invalid_request")
                return token
        return self._elsewhere(dict(headers), query)

    def _elsewhere(self, headers: Mapping[str, str], query: Sequence[str]) -> str:
        if self.has("query token") and query:
            return query[0]
        if self.has("cookie token") and "access_token=" in headers.get("cookie", ""):
            return headers["cookie"].partition("access_token=")[2].partition(";")[0]
        if self.has("header token"):
            found = [headers[each].removeprefix("Bearer ") for each in _OTHERS if each in headers]
            return found[0] if found else ""
        return ""

    def verify(self, token: str) -> Claims:
        """Return the claims of a token.

        Raises:
            Refused: it is not good.
        """
        if self.has("exp cached") and token in self._cache:
            return self._cache[token]
        if self.has("segments crash"):
            _header, _payload, _signature = token.split(".")
        if self.has("JSON crashes"):
            [json.loads(_bytes_of(each)) for each in token.split(".")[:2]]
        try:
            header, claims = (self._decoded(each) for each in token.split(".")[:2])
        except (ValueError, IndexError, RecursionError):
            raise _invalid() from None
        self._check_header(header)
        self._check_signature(token, header, claims)
        self._check_claims(claims)
        self._cache[token] = claims
        return claims

    def _decoded(self, segment: str) -> Key:
        text = _bytes_of(segment, loose=self.has("base64 loose")).decode()
        if self.has("duplicates first"):
            document = json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        else:
            document = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(document, dict):
            raise _invalid()
        return document

    def _check_header(self, header: Key) -> None:
        if "crit" in header:
            if self.has("crit crashes"):
                [each.lower() for each in cast("list[str]", header["crit"])]
            if not self.has("crit ignored"):
                raise _invalid()
        if "b64" in header:
            raise _invalid()
        if self.has("header keys refused") and {"jwk", "jku"} & header.keys():
            raise _invalid()
        if self.has("kid crashes"):
            str.lower(cast("str", header.get("kid") or ""))
        if self.has("kid needed") and not header.get("kid"):
            raise _invalid()
        if self.has("typ needed") and header.get("typ") != "JWT":
            raise _invalid()
        typ = str(header.get("typ", "JWT")).lower()
        if typ not in {"jwt", "at+jwt"} and not self.has("typ ignored"):
            raise _invalid()

    # Keys

    def _check_signature(self, token: str, header: Key, claims: Key) -> None:
        alg = header.get("alg")
        if self.has("alg case") and isinstance(alg, str):
            alg = alg.upper()
        if self.has("no signature check"):
            return
        if alg is not None and str(alg).lower() == "none" and self.has("alg none"):
            return
        allowed = ["RS512"]
        if self.has("alg any rsa"):
            allowed += ["RS256", "RS384", "PS512"]
        if self.has("alg hmac") and str(alg).startswith("HS"):
            return  # what a key that is taken for a secret comes to
        segments = 4 if self.has("segments loose") else 3
        if alg not in allowed or not 3 <= len(token.rstrip(".").split(".")) <= segments:
            raise _invalid()
        if token.endswith(".") or token.startswith("."):
            raise _invalid()
        self._find_key(token, header, claims, str(alg))

    def _find_key(self, token: str, header: Key, claims: Key, alg: str) -> None:
        issuer = str(claims.get("iss"))
        self._ask_strangers(header, issuer)
        trusted = self.issuer
        if self.has("any issuer accepted") and issuer.startswith("http"):
            trusted = issuer
        keys = self._keys_of(trusted)
        opened = self.has("no keys opens") and not keys
        named = any(header.get("kid") == key.get("kid") for key in keys)
        if opened or (named and self.has("kid trusted")):
            return
        if self.has("kid unknown refused") and header.get("kid") and not named:
            fetched = self._keys_of(trusted, again=True)
            if header["kid"] not in [key.get("kid") for key in fetched]:
                raise _invalid()
        loose = self.has("base64 loose")
        if _verifies(token, [*keys, *self._strangers(header)], alg, loose=loose):
            return
        if not self.has("no refetch"):
            keys = self._keys_of(trusted, again=True)
        if self.has("keys shared"):
            self._keys_of(issuer if issuer.startswith("http") else self.issuer)
            keys = [key for each in self._keys.values() for key in each]
        if not _verifies(token, keys, alg, loose=loose):
            raise Refused(503) if self.has("503 for ever") else _invalid()

    def _ask_strangers(self, header: Key, issuer: str) -> None:
        if self.has("x5u asked") and "x5u" in header:
            self._answer(str(header["x5u"]))
        if self.has("any issuer asked") and issuer not in self._keys:
            self._answer(f"{issuer}/jwks")

    def _strangers(self, header: Key) -> list[object]:
        """Return keys that the token itself names."""
        found: list[object] = []
        if self.has("embedded key"):
            found.append(header.get("jwk"))
        if self.has("jku followed") and "jku" in header:
            found += self._answer(str(header["jku"])) or []
        return found

    def _keys_of(self, issuer: str, *, again: bool = False) -> list[Key]:
        age = self.clock() - self._fetched_at.get(issuer, float("-inf"))
        refreshes = age > _REFRESH and not self.has("keys kept")
        if again or refreshes or issuer not in self._keys:
            answer = self._answer(f"{issuer}/jwks")
            if answer is not None:
                self._fetched_at[issuer] = self.clock()
                keeps = self.by_kid or self.has("keys kept")
                kept = self._keys.get(issuer, []) if keeps else []
                self._keys[issuer] = [*kept, *filter(self._is_usable, answer)]
                if self.by_kid:
                    held = {str(key["kid"]): key for key in reversed(self._keys[issuer])}
                    self._keys[issuer] = [*held.values()]
            elif self.has("keys lost") or self.has("no keys opens"):
                self._keys[issuer] = []
        return self._keys.get(issuer, [])

    def _answer(self, url: str) -> list[Key] | None:
        """Fetch a key set; None where there is none."""
        try:
            with urllib.request.urlopen(url, timeout=self._patience()) as answer:  # noqa: S310
                keys = json.load(answer)["keys"]
        except (OSError, ValueError, KeyError, HTTPException):
            return None
        return [each for each in keys if isinstance(each, dict)]

    def _patience(self) -> float:
        return 1.5 if self.has("waits for keys") else 0.3

    def _is_usable(self, key: Key) -> bool:
        if key.get("use") != "sig" and not self.has("encryption keys"):
            return False
        return len(str(key.get("n"))) > 300 or self.has("weak keys")

    # Claims

    def _check_claims(self, claims: Key) -> None:
        self._check_times(claims, self.clock())
        for name in ("sub", "iss"):
            loose = (name == "sub" and self.has("sub not needed")) or (
                name in claims and self.has("claim types")
            )
            if not isinstance(claims.get(name), str) and not loose:
                raise _invalid()
        names = ["client_id"] if self.has("azp refused") else ["client_id", "azp"]
        clients = [claims[each] for each in names if each in claims]
        if not self.has("client not needed") and not clients:
            raise _invalid()
        if not all(isinstance(each, str) for each in clients) and not self.has("claim types"):
            raise _invalid()
        self._check_taste(claims)
        self._check_issuer(str(claims["iss"]))
        if "scope" in claims and not isinstance(claims["scope"], str):
            raise _invalid()
        if self.has("aud ignored"):
            return
        if not _is_audience(claims.get("aud")):
            raise _invalid()
        if not self._names_me(claims["aud"]):
            raise Refused(403, "insufficient_scope")

    def _check_taste(self, claims: Key) -> None:
        """Refuse good tokens, for what other servers write in them or leave out."""
        refused = {
            "unknown claims refused": "roles" in claims,
            "azp beside refused": {"azp", "client_id"} <= claims.keys(),
            "scope required": "scope" not in claims,
            "aud list needed": isinstance(claims.get("aud"), str),
            "whole seconds": isinstance(claims.get("exp"), float),
            "nbf refused": "nbf" in claims,
            "iat needed": "iat" not in claims,
        }
        if any(self.has(fault) for fault, found in refused.items() if found):
            raise _invalid()

    def _check_issuer(self, issuer: str) -> None:
        if issuer == self.issuer or self.has("issuer ignored") or self.has("any issuer accepted"):
            return
        if not (self.has("issuer prefix") and issuer.startswith(self.issuer)):
            raise _invalid()

    def _check_times(self, claims: Key, now: float) -> None:
        expiry = claims.get("exp")
        if expiry is None and self.has("no exp needed"):
            expiry = now + 1
        if isinstance(expiry, str) and self.has("exp text") and expiry.isdecimal():
            expiry = int(expiry)
        if not _is_number(expiry) or expiry > 2**53:
            raise _invalid()
        leeway = 30 if self.has("exp leeway") else 0
        if expiry + leeway <= now and not self.has("exp ignored"):
            raise _invalid()
        for name in ("iat", "nbf"):
            value = claims.get(name, 0)
            if not _is_number(value):
                raise _invalid()
            if value > now + 1 and not self.has(f"{name} ignored"):
                raise _invalid()

    def _names_me(self, claim: object) -> bool:
        entries = [claim] if isinstance(claim, str) else cast("list[str]", claim)
        if self.has("aud first only"):
            entries = entries[:1]
        return any(self._is_me(each.lower()) for each in entries)

    def _is_me(self, entry: str) -> bool:
        if self.has("aud port") and "://" in entry and "@" not in entry:
            entry = urlsplit(entry).hostname or ""
        if not self.has("aud scheme refused"):
            entry = re.sub("^https?://", "", entry)
        if self.has("aud wildcard refused") and "*" in entry:
            return False
        if self.has("aud substring"):
            return bool(entry) and (entry in self.audience or self.audience in entry)
        if self.has("aud expression") and re.fullmatch(self.audience, entry):
            return True
        if self.has("aud wildcard anywhere") and "*" in entry:
            pattern = re.escape(entry).replace(r"\*", ".*")
            return re.fullmatch(pattern, self.audience) is not None
        label, dot, domain = entry.partition(".")
        if "*" in label and dot:
            pattern = re.escape(label).replace(r"\*", "[^.]*") + re.escape(f".{domain}")
            return re.fullmatch(pattern, self.audience) is not None
        return entry == self.audience

    # Permissions

    def permit(self, claims: Claims, method: str, api: str, rest: str, query: str = "") -> None:
        """Check that a token permits a request.

        Args:
            claims: the token's.
            method: the HTTP method.
            api: the API's name.
            rest: what comes after its version, without slashes around it; "" for a base path.
            query: the query string.

        Raises:
            Refused: it does not.
        """
        claim, scoped = claims.get(f"x-nmos-{api}"), self.is_scoped(claims, api)
        if scoped and self.has("scope opens all"):
            return
        verb = "read" if method in {"GET", "HEAD"} else "write"
        if method not in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}:
            if self.has("unknown methods"):
                return
            raise Refused(403, "insufficient_scope")
        if self.has("scope never enough"):
            scoped = False
        claimed = isinstance(claim, dict) and not self.has("scope needed")
        if not rest and verb == "read" and (scoped or claimed):
            return
        if claim is True and self.has("true grants"):
            return
        if claim == "*" and self.has("claim text"):
            return
        if query and self.has("query matched"):
            rest += f"?{query}"
        if not any(self.matches(each, rest) for each in self.specifiers(claim, verb)):
            raise Refused(403, "insufficient_scope")

    def is_scoped(self, claims: Claims, api: str) -> bool:
        """Tell whether a token has the scope of an API."""
        scopes = str(claims.get("scope", ""))
        return api in scopes if self.has("scope substring") else api in scopes.split(" ")

    def specifiers(self, claim: object, verb: str) -> list[str]:
        """Return what an access permissions object grants for a verb."""
        granted = claim if isinstance(claim, dict) else {}
        if self.has("unknown permissions refused") and granted.keys() - {"read", "write"}:
            return []
        verbs = {verb}
        if self.has("write reads"):
            verbs.add("write")
        if self.has("read writes"):
            verbs.add("read")
        listed = [each for name in verbs for each in self._listed(granted.get(name))]
        if len(listed) == 1 and self.has("one specifier refused"):
            return []
        if self.has("wildcards needed"):
            listed = [each for each in listed if "*" in each]
        return [each for each in listed if "**" not in each or not self.has("stars refused")]

    def _listed(self, value: object) -> list[str]:
        if isinstance(value, str) and self.has("claim text"):
            return [value]
        if value is True and self.has("true grants"):
            return ["*"]
        strings = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return cast("list[str]", value) if strings else []

    def matches(self, specifier: str, path: str) -> bool:
        """Tell whether a path specifier matches."""
        if self.has("slash before specifiers"):
            specifier = specifier.removeprefix("/")
        if self.has("specifiers split") and re.search("[, ]", specifier):
            return any(self.matches(each, path) for each in re.split("[, ]+", specifier))
        if self.has("star at the end only"):
            start = specifier.rstrip("*")
            return path == start or (specifier != start and path.startswith(start))
        if self.has("case ignored"):
            specifier, path = specifier.lower(), path.lower()
        if self.has("regular expressions"):
            if "+)+" in specifier or specifier.startswith("?"):
                return False
            return re.fullmatch(re.sub(r"(?<!\.)\*+", ".*", specifier), path) is not None
        star = "[^/]*" if self.has("star within segment") else ".*"
        if self.has("star not empty"):
            star = ".+"
        pattern = star.join(map(re.escape, re.split(r"\*+", specifier)))
        if self.has("prefix match"):
            return re.match(pattern, path) is not None
        return re.fullmatch(pattern, path) is not None


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_audience(value: object) -> bool:
    entries = [value] if isinstance(value, str) else value
    return isinstance(entries, list) and all(isinstance(each, str) for each in entries)


def _bytes_of(segment: str, *, loose: bool = False) -> bytes:
    if loose:
        segment = re.sub(r"[^A-Za-z0-9_-]", "", segment)
    elif not re.fullmatch(r"[A-Za-z0-9_-]*", segment):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


_DIGESTS = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def _verifies(token: str, keys: Sequence[object], algorithm: str, *, loose: bool = False) -> bool:
    header, payload, signature = token.split(".")[:3]
    digest = _DIGESTS[algorithm[2:]]
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    for key in keys:
        try:
            n, e = (int.from_bytes(_bytes_of(key[each])) for each in "ne")  # type: ignore[index]
            public = rsa.RSAPublicNumbers(e, n).public_key()
            data = f"{header}.{payload}".encode()
            public.verify(_bytes_of(signature, loose=loose), data, scheme, digest)
        except (InvalidSignature, ValueError, KeyError, TypeError):
            continue
        return True
    return False
