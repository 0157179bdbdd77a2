"""What an access token says, what it permits, and when it is valid. Pure, no clock."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from nmos_auth.errors import Detail, InvalidToken, Reason
from nmos_auth.rules.paths import is_canonical_rest
from nmos_auth.rules.permissions import (
    CLAIM_PREFIX,
    AccessPermissions,
    Verb,
    deciding_paths,
    lacking_permission,
)
from nmos_auth.servers.strict_json import JsonObject

__all__ = ["AccessToken", "check_times"]


# The identifier and private claims may be confidential.
_NOT_SHOWN = frozenset({"jti", "_claims", "_permissions", "_unrestricted"})


class AccessToken(  # noqa: PLW1641 - it has no hash, since claims are objects
    msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False
):
    """The claims of an access token (IS-10 "Behaviour: Access Tokens").

    A frozen dataclass would take twelve times as long to make.

    Attributes:
        iss: issuer, the URL of the Authorization Server.
        sub: subject, the end-user or the client itself.
        aud: audience, the servers that the token is for.
        exp: expiry, seconds since 1970 UTC.
        iat: time of issue, seconds since 1970 UTC, or None.
        nbf: time before which it is not valid, seconds since 1970 UTC, or None.
        client_id: the client that requested it; `azp` if `client_id` is absent.
        jti: the token's own identifier, or None.
    """

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: int | float
    iat: int | float | None
    nbf: int | float | None
    client_id: str
    jti: str | None
    _claims: JsonObject
    _permissions: dict[str, AccessPermissions]
    _unrestricted: bool = False

    def __repr__(self) -> str:
        """Return the claims without the identifier and without private claims."""
        return f"AccessToken({', '.join(f'{name}={value!r}' for name, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to crash reporters."""
        return self._shown()

    def _shown(self) -> list[tuple[str, object]]:
        names = (each for each in self.__struct_fields__ if each not in _NOT_SHOWN)
        return [*((name, getattr(self, name)) for name in names), ("scopes", self.scopes)]

    def __eq__(self, other: object) -> bool:
        """Tell whether two tokens have the same claims."""
        if not isinstance(other, AccessToken):
            return NotImplemented
        return (self._claims, self._unrestricted) == (other._claims, other._unrestricted)

    @property
    def scopes(self) -> frozenset[str]:
        """The entries of `scope`."""
        return frozenset(filter(None, (self.scope or "").split(" ")))

    @property
    def scope(self) -> str | None:
        """The claim `scope` as it is written, or None."""
        scope = self._claims.get("scope")
        return scope if isinstance(scope, str) else None

    @property
    def claims(self) -> Mapping[str, object]:
        """All claims, including private ones, in a read-only copy."""
        return MappingProxyType(copy.deepcopy(self._claims))

    def allows(self, api: str, verb: Verb, path: str) -> bool:
        """Tell whether the token permits a request.

        Args:
            api: the NMOS API's name in the URL, for example `connection`.
            verb: "read" or "write".
            path: the path after the API version in the URL; "" for a base path. It must be
                canonical: a path with `..` is never permitted.

        Source: IS-10 "Behaviour: Resource Servers", Path Validation.

            >>> token.allows("connection", "write", "single/senders/1/staged")  # doctest: +SKIP
        """
        rest = path.removeprefix("/")
        return is_canonical_rest(rest) and self.permits(api, verb, rest)

    def covers(self, api: str, verb: Verb, pattern: str) -> bool:
        """Tell whether the token permits every path that a pattern matches.

        The answer is exact: it is only false if the pattern matches a path that is not permitted.
        The time is linear in the pattern and the specifiers.

        Args:
            api: the NMOS API's name in the URL, for example `query`.
            verb: "read" or "write".
            pattern: the path after the API version in the URL, where `*` matches zero or more
                characters, as in a path specifier. A pattern that matches no canonical path, for
                example with `..`, is not covered.

        Source: BCP-003-02 "Registry WebSocket Authorization", "a read claim matching all data
        which may be returned".

            >>> token.covers("query", "read", "receivers/*")  # doctest: +SKIP
        """
        rest = pattern.removeprefix("/")
        return is_canonical_rest(rest) and all(
            self.permits(api, verb, path) for path in deciding_paths(rest)
        )

    def permits(self, api: str, verb: Verb, rest: str) -> bool:
        """Do the same as `allows`, for a path that is known to be canonical."""
        if self._unrestricted:
            return True
        permissions = self._permissions.get(api) or self._compile(api)
        if verb == "read":
            if not rest:
                return permissions is not None or api in self.scopes
            return permissions is not None and permissions.read.match(rest)
        if verb == "write":
            return permissions is not None and permissions.write.match(rest)
        return False

    def lack(self, api: str, verb: Verb, rest: str) -> Detail:
        """Return why the token does not permit a request, for the audit log."""
        return lacking_permission(self._claims, self.scopes, api, verb, rest)

    def _compile(self, api: str) -> AccessPermissions | None:
        permissions = AccessPermissions.from_claim(self._claims.get(CLAIM_PREFIX + api))
        if permissions is not None:
            self._permissions[api] = permissions
        return permissions

    @classmethod
    def unrestricted(cls) -> AccessToken:
        """Return what handlers see while NMOS_AUTH_ENABLED is false: everything is allowed."""
        return cls(
            iss="",
            sub="",
            aud=(),
            exp=0,
            iat=None,
            nbf=None,
            client_id="",
            jti=None,
            _claims={},
            _permissions={},
            _unrestricted=True,
        )


def check_times(token: AccessToken, now: float, leeway: float) -> float:
    """Check exp, iat and nbf, and return the time from which the token is valid.

    Source: IS-10 "Behaviour: Access Tokens"; RFC 7519 Section 4.1.4.

    Args:
        token: the token.
        now: seconds since 1970 UTC.
        leeway: seconds allowed on iat and nbf, never on exp.

    Returns:
        Seconds since 1970 UTC, leeway included.

    Raises:
        InvalidToken: the token has expired or its time has not come.
    """
    iat, nbf = token.iat or -math.inf, token.nbf or -math.inf
    valid_from = max(iat, nbf) - leeway
    if valid_from <= now < token.exp:
        return valid_from
    if now >= token.exp:
        detail = Detail.of("exp was {} s ago", round(now - token.exp, 1))
        raise InvalidToken(Reason.EXPIRED, token=token, detail=detail)
    name, moment, reason = "nbf", nbf, Reason.NOT_YET_VALID
    if iat - leeway > now:
        name, moment, reason = "iat", iat, Reason.ISSUED_IN_FUTURE
    words = "{} is {} s ahead of this server's clock, and NMOS_AUTH_LEEWAY allows {} s"
    detail = Detail.of(words, name, round(moment - now, 1), leeway)
    raise InvalidToken(reason, token=token, detail=detail)
