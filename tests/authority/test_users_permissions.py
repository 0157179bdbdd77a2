"""What a user may do takes the place of what the Client may."""

from __future__ import annotations

from nmos_auth.authority import Permissions, User
from tests.authority.support import CONTROLLER, USER, Served


def test_a_users_tokens_permit_what_the_user_may() -> None:
    """Permissions and audience are the user's where he has some; an API not named has nothing."""
    own = {"connection": Permissions(read=("*",)), "system": Permissions(read=("*",))}
    viewer = User(
        name="viewer",
        password_hash=USER.password_hash,
        permissions=own,
        audience=("node-a.example.com",),
    )
    client = viewer.with_client(CONTROLLER)
    assert client.permissions == own
    assert client.audience == ("node-a.example.com",)
    assert client.scopes == CONTROLLER.scopes
    assert USER.with_client(CONTROLLER) is CONTROLLER


def test_a_token_has_claims_for_granted_scopes_only(server: Served) -> None:
    """What a user may beyond the scope that was granted does not go into a token."""
    permissions = {"connection": Permissions(read=("*",)), "query": Permissions(read=("*",))}
    user = User(name="u", password_hash=USER.password_hash, permissions=permissions)
    issued = server.authority.tokens.issue(user.with_client(CONTROLLER), ["query"], subject="u")
    assert issued.claims["x-nmos-query"] == {"read": ["*"]}
    assert "x-nmos-connection" not in issued.claims
    assert issued.claims["sub"] == "u"
