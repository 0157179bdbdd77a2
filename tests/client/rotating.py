"""A token endpoint that rotates refresh tokens, and users who log in there."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field

from nmos_auth.client import AuthorizationClient
from nmos_auth.client.grants.grants import code_of
from nmos_auth.client.tokens.authorizations import UserAuthorization
from tests.client.scripted import Asked, Refusal, ScriptedServer

__all__ = ["Rotating", "complete", "log_in"]


@dataclass
class Rotating:
    """Issues a new refresh token with each exchange, to the client of the former only.

    Attributes:
        server: whose token endpoint this is.
        owners: by refresh token that is good, the client it belongs to.
        spent: those that were exchanged.
        latency: seconds that an answer takes after the exchange.
    """

    server: ScriptedServer
    owners: dict[str, str] = field(default_factory=dict)
    spent: list[str] = field(default_factory=list)
    latency: float = 0.0

    async def __call__(self, asked: Asked) -> object:
        """Answer a token request."""
        form = asked.form
        client_id = form.get("client_id") or _basic_user(asked)
        if form["grant_type"] == "refresh_token":
            token = form["refresh_token"]
            if self.owners.get(token) != client_id:
                await asyncio.sleep(self.latency)
                return Refusal(400, {"error": "invalid_grant"})
            del self.owners[token]
            self.spent.append(token)
        new = f"refresh-{len(self.spent)}-{len(self.owners)}-{'x' * 30}"
        self.owners[new] = client_id
        await asyncio.sleep(self.latency)
        return self.server.token(refresh_token=new, scope=form["scope"])


def _basic_user(asked: Asked) -> str:
    pair = base64.b64decode(asked.headers["authorization"].removeprefix("Basic "))
    return pair.decode().partition(":")[0]


async def log_in(client: AuthorizationClient, issuer: str, *scope: str) -> UserAuthorization:
    """Have a user log in, and use up the tokens of the code."""
    authorization = client.authorization_at(client.servers.at(issuer))
    await complete(client, authorization, *scope)
    return authorization


async def complete(
    client: AuthorizationClient, authorization: UserAuthorization, *scope: str
) -> None:
    """Have a user authorize, and use up the tokens of the code."""
    at = client.servers.at(authorization.issuer)
    pending = await at.begin_authorization(scope or client.settings.scope)
    code = code_of(pending, [("state", pending.state.get_secret_value()), ("code", "code-1")])
    await authorization.complete(pending, code)
    await authorization.obtain()
