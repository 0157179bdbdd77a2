"""What a user's token surely does not permit, in words.

Nothing here decides anything: a Node does. What a token says of itself is a hint, by which pages
tell a user beforehand what will be refused; an opaque token says nothing, and nothing is disabled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from nmos_auth.rules.permissions import AccessPermissions, Verb

_PREFIX = "x-nmos-"


@dataclass(frozen=True)
class ApiPermissions:
    """What a token permits of one API, as its claim is written."""

    api: str
    read: Sequence[str]
    write: Sequence[str]


class Permissions:
    """What a token says of itself.

    Args:
        claims: its claims, or None for one that is opaque; None too where no token is needed.
        goes_to: tells whether it is sent to a URL.
    """

    def __init__(
        self,
        claims: Mapping[str, object] | None,
        goes_to: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._claims = claims
        self._goes_to = goes_to
        self._compiled: dict[str, AccessPermissions | None] = {}

    @property
    def who(self) -> str:
        """The user's name, as the Authorization Server has it; "" where the token does not say."""
        subject = (self._claims or {}).get("sub")
        return subject if isinstance(subject, str) else ""

    @property
    def audience(self) -> tuple[str, ...]:
        """The servers that the token names."""
        audience = (self._claims or {}).get("aud")
        entries: list[object] = audience if isinstance(audience, list) else [audience]
        return tuple(each for each in entries if isinstance(each, str))

    @property
    def issuer(self) -> str:
        """Who issued the token, as it says; "" where it does not."""
        issuer = (self._claims or {}).get("iss")
        return issuer if isinstance(issuer, str) else ""

    @property
    def is_known(self) -> bool:
        """Whether the token says anything."""
        return self._claims is not None

    def apis(self) -> list[ApiPermissions]:
        """Return what is permitted, API by API."""
        found = []
        for name, claim in sorted((self._claims or {}).items()):
            if name.startswith(_PREFIX) and isinstance(claim, Mapping):
                read, write = (_texts(claim.get(verb)) for verb in ("read", "write"))
                found.append(ApiPermissions(name.removeprefix(_PREFIX), read, write))
        return found

    def lack(self, api: str, verb: Verb, path: str, href: str | None) -> str:
        """Return why a request surely is refused; "" where that is not sure.

        Args:
            api: the NMOS API's name.
            verb: `read` or `write`.
            path: what follows the API's version.
            href: where the API is; None where that is not known.
        """
        if self._claims is not None and not self._permits(api, verb, path):
            return f"Your token does not permit you to {verb} this in the {api} API."
        if href is None or self._goes_to(href):
            return ""
        return (
            f"Your token is not for {urlsplit(href).hostname}: it names"
            f" {', '.join(self.audience) or 'no host'}, and EXAMPLE_CONTROLLER_TOKEN_HOSTS does not"
            " name this host either."
        )

    def _permits(self, api: str, verb: Verb, path: str) -> bool:
        if api not in self._compiled:
            claim = (self._claims or {}).get(_PREFIX + api)
            self._compiled[api] = AccessPermissions.from_claim(claim)
        permissions = self._compiled[api]
        return permissions is not None and getattr(permissions, verb).match(path)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
