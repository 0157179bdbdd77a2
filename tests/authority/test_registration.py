"""Dynamic registration (RFC 7591, IS-10 "Client Registration")."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx2
import pytest
from pydantic import SecretStr

from nmos_auth import ConfigurationError
from nmos_auth.authority import Permissions, RegistrationPolicy, new_signing_key
from tests.authority.flows import CALLBACK, Registered, browsing, public_jwks, register
from tests.authority.support import Served, served
from tests.support.clocks import Clock

INITIAL = "configured-initial-access-token"
KEY = new_signing_key()

CONTROLLER = {
    "client_name": "Example Controller 1234",
    "scope": "connection query",
    "redirect_uris": [CALLBACK],
}
NODE = {
    "client_name": "Example Node 1234",
    "scope": "registration",
    "grant_types": ["client_credentials"],
    "response_types": ["none"],
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks_uri": "https://node.example.com/jwks",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """Run a server with an initial access token of its operator's."""
    policy = RegistrationPolicy(initial_access_tokens=(SecretStr(INITIAL),))
    with served(registration=policy) as running:
        yield running


def post(server: Served, document: object, token: str | None = None) -> httpx2.Response:
    """Send a registration request."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return server.http.post("/register", json=document, headers=headers)


def test_a_controller_registers_openly(server: Served) -> None:
    """Without more words it becomes a confidential client for the Authorization Code grant."""
    response = post(server, CONTROLLER)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    answer = response.json()
    assert len(answer.pop("client_id")) >= 20
    assert len(answer.pop("client_secret")) >= 40
    assert isinstance(answer.pop("client_id_issued_at"), int)
    assert len(answer.pop("registration_access_token")) >= 40
    assert answer.pop("registration_client_uri").startswith(f"{server.issuer}/register/")
    assert answer == {
        **CONTROLLER,
        "client_secret_expires_at": 0,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


def test_no_two_clients_are_alike(server: Served) -> None:
    """Ids, secrets and tokens differ, though the metadata be the same."""
    answers = [post(server, CONTROLLER).json() for _ in range(3)]
    for name in ("client_id", "client_secret", "registration_access_token"):
        assert len({answer[name] for answer in answers}) == 3


def test_a_public_client_gets_no_secret(server: Served) -> None:
    """IS-10: "Public clients MUST NOT be issued with a client secret"."""
    answer = post(server, {**CONTROLLER, "token_endpoint_auth_method": "none"}).json()
    assert "client_secret" not in answer
    assert "client_secret_expires_at" not in answer


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_basic"])
@pytest.mark.parametrize("kind", ["configured", "signed"])
def test_a_node_registers_with_an_initial_access_token(
    server: Served, kind: str, method: str
) -> None:
    """It gets `registration` tokens by client_credentials, with what the operator permits."""
    signed = server.authority.initial_access_token().get_secret_value()
    document = {**NODE, "token_endpoint_auth_method": method}
    response = post(server, document, INITIAL if kind == "configured" else signed)
    assert response.status_code == 201, response.text
    answer = response.json()
    assert answer["grant_types"] == ["client_credentials"]
    assert answer["response_types"] == ["none"]
    if method == "client_secret_basic":
        form = {"grant_type": "client_credentials", "scope": "registration"}
        token = Registered(server, answer).post("/token", **form).json()["access_token"]
        claims = server.verified(token)
        assert claims["sub"] == claims["client_id"] == answer["client_id"]
        assert claims["x-nmos-registration"] == {
            "read": ["*"],
            "write": ["resource", "resource/*", "health/nodes/*"],
        }


def test_client_credentials_take_an_initial_access_token(server: Served) -> None:
    """IS-10: such registrations "MUST be subject to" authentication."""
    grants = ["authorization_code", "client_credentials"]
    both = {**CONTROLLER, "scope": "connection registration", "grant_types": grants}
    for document in (NODE, both):
        response = post(server, document)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
        # RFC 6750 Section 3.1: no error where there were no credentials.
        assert response.headers["www-authenticate"] == 'Bearer realm="nmos-auth"'
    wrong = post(server, NODE, "x" * 30)
    assert "error=invalid_token" in wrong.headers["www-authenticate"]


def test_a_switch_lets_nodes_register_without_a_token() -> None:
    """Some Nodes cannot send an initial access token; the operator may do without."""
    with served(registration=RegistrationPolicy(open_client_credentials=True)) as server:
        document = {**NODE, "token_endpoint_auth_method": "client_secret_basic"}
        client = Registered(server, post(server, document).json())
        form = {"grant_type": "client_credentials", "scope": "registration"}
        assert client.post("/token", **form).status_code == 200
        update = {**document, "client_id": client.client_id, "client_name": "Another"}
        assert server.http.put(client.uri, json=update, headers=client.bearer).status_code == 200


@pytest.mark.parametrize(
    ("grant", "asked", "granted"),
    [
        ("authorization_code", ["code", "token"], ["code"]),
        ("authorization_code", None, ["code"]),
        ("client_credentials", ["code", "token"], []),
        ("client_credentials", ["none"], ["none"]),
        ("client_credentials", [], []),
    ],
)
def test_response_types_are_answered_with_what_is_granted(
    server: Served, grant: str, asked: list[str] | None, granted: list[str]
) -> None:
    """RFC 7591 Section 3.2.1: a server may replace what was asked for, and says so."""
    document = {**(NODE if grant == "client_credentials" else CONTROLLER), "grant_types": [grant]}
    document.pop("response_types", None)
    if asked is not None:
        document["response_types"] = asked
    response = post(server, document, INITIAL)
    assert response.status_code == 201, response.text
    assert response.json()["response_types"] == granted


def test_no_other_token_registers(server: Served) -> None:
    """An Access Token or another client's token neither; a wrong one is worse than none."""
    client = register(server)
    access_token = server.token("registration", client=server.authority.settings.clients[1])
    own = str(client.document["registration_access_token"])
    for token in ("x" * 30, access_token, own, INITIAL[:-1], "\u00e9" * 30):
        for document in (NODE, CONTROLLER):
            response = server.http.post(
                "/register", json=document, headers={b"Authorization": f"Bearer {token}".encode()}
            )
            assert response.status_code == 401
    basic = server.http.post("/register", json=CONTROLLER, auth=("a", "b"))
    assert basic.json()["error"] == "invalid_token"


def test_initial_access_tokens_expire() -> None:
    """One that the server signed counts until its time is over, or its key is withdrawn."""
    clock = Clock()
    with served(clock=clock) as server:
        token = server.authority.initial_access_token(lifetime=100).get_secret_value()
        assert post(server, NODE, token).status_code == 201
        clock.now += 101
        assert post(server, NODE, token).status_code == 401
        token = server.authority.initial_access_token().get_secret_value()
        server.authority.keys.replace()
        assert post(server, NODE, token).status_code == 401


def test_an_initial_access_token_is_no_access_token(server: Served) -> None:
    """Its type and audience keep Resource Servers from taking it."""
    claims = server.verified(server.authority.initial_access_token().get_secret_value())
    assert claims["aud"] == f"{server.issuer}/register"
    assert "client_id" not in claims


def test_a_closed_server_registers_nobody_without_a_token() -> None:
    """The operator may want a token for every registration."""
    policy = RegistrationPolicy(open=False, initial_access_tokens=(SecretStr(INITIAL),))
    with served(registration=policy) as server:
        assert post(server, CONTROLLER).status_code == 401
        assert post(server, CONTROLLER, INITIAL).status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"client_name": None}, "client_name"),
        ({"client_name": ""}, "client_name"),
        ({"client_name": "  "}, "client_name"),
        ({"client_name": "a\nb"}, "client_name"),
        ({"client_name": "x" * 201}, "client_name"),
        ({"client_name": 5}, "client_name"),
        ({"scope": None}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": ["connection"]}, "scope"),
        ({"scope": "connection openid"}, "scope"),
        ({"scope": "connection  query"}, "scope"),
        ({"grant_types": ["implicit"]}, "grant_types"),
        ({"grant_types": ["password", "authorization_code"]}, "grant_types"),
        ({"grant_types": []}, "grant_types"),
        ({"grant_types": ["refresh_token"]}, "grant_types"),
        ({"response_types": ["token"]}, "response_types"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks_uri"),
        ({"token_endpoint_auth_method": None, "jwks_uri": "x", "jwks": {}}, "jwks_uri"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": public_jwks()}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=False)] * 60}}, "jwks"),
        ({"contacts": "me"}, "contacts"),
    ],
)
def test_metadata_has_to_be_in_order(
    server: Served, changes: dict[str, object], field: str
) -> None:
    """RFC 7591 Section 3.2.2: 400, the code, and a description that names the field."""
    merged = {**CONTROLLER, **changes}
    document = {name: value for name, value in merged.items() if value is not None}
    response = post(server, document)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")
    assert field in response.json()["error_description"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost.example.com/jwks",
        "http://node.example.com/jwks",
        "ftp://localhost/jwks",
        "https://user:pass@node.example.com/jwks",
        "https:///jwks",
        "file:///etc/passwd",
        "https://[::1/jwks",
        "https://node.example.com/a b",
    ],
)
def test_a_jwks_uri_is_https(server: Served, uri: str) -> None:
    """What could not be fetched is refused when it is registered."""
    response = post(server, {**NODE, "jwks_uri": uri}, INITIAL)
    assert response.json()["error"] == "invalid_client_metadata"
    assert "jwks_uri" in response.json()["error_description"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://controller.example.com/callback",
        "http://localhost.example.com/callback",
        "https://*.example.com/callback",
        "https://controller.example.com/callback#fragment",
        "https://controller.example.com/callback#",
        "https://user@controller.example.com/callback",
        "https://controller.example.com:/callback",
        "https://controller.example.com\\@evil.example.com",
        "https://controller.example.com/a b",
        "https://contr\u00f6ller.example.com/",
        "https://controller.example.com/\r\nX: y",
        "https://controller.example.com:99999/",
        "https:///callback",
        "/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "com.example.app:/callback",
        "",
        "https://controller.example.com/" + "x" * 3000,
    ],
)
def test_redirect_uris_are_complete_and_https(server: Served, uri: str) -> None:
    """https, or http on loopback; no fragment, pattern, credentials or odd characters."""
    for uris in ([uri], [CALLBACK, uri]):
        response = post(server, {**CONTROLLER, "redirect_uris": uris})
        assert (response.status_code, response.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "uri",
    [
        "https://controller.example.com/callback?x=1",
        "https://controller.example.com:8443",
        "http://127.0.0.1/callback",
        "http://localhost:5000",
        "http://[::1]:8400/callback",
    ],
)
def test_https_and_loopback_may_be_registered(server: Served, uri: str) -> None:
    """The URI comes back as it is."""
    answer = post(server, {**CONTROLLER, "redirect_uris": [uri]}).json()
    assert answer["redirect_uris"] == [uri]


@pytest.mark.parametrize("uris", [None, [], [CALLBACK] * 21, "https://a.example.com", [5]])
def test_a_controller_has_some_redirect_uris(server: Served, uris: object) -> None:
    """One at least, and not without end."""
    document = {**CONTROLLER, "redirect_uris": uris}
    if uris is None:
        del document["redirect_uris"]
    assert post(server, document).json()["error"] == "invalid_redirect_uri"


def test_machine_clients_have_to_be_confidential_and_modest(server: Served) -> None:
    """IS-10 and BCP-003-02: never public, and for `registration` and `events` alone."""
    public = post(server, {**NODE, "token_endpoint_auth_method": "none"}, INITIAL)
    other = post(server, {**NODE, "scope": "connection"}, INITIAL)
    for response in (public, other):
        assert response.json()["error"] == "invalid_client_metadata"
    both = post(
        server,
        {
            **CONTROLLER,
            "scope": "connection registration",
            "grant_types": ["authorization_code", "client_credentials"],
        },
        INITIAL,
    ).json()
    client = Registered(server, both)
    form = {"grant_type": "client_credentials"}
    assert client.post("/token", **form, scope="registration").status_code == 200
    assert client.post("/token", **form, scope="connection").json()["error"] == "invalid_scope"


def test_a_request_is_a_json_object(server: Served) -> None:
    """Other types, broken JSON, doubled names, huge bodies: refused in the same form."""
    json_type = {"Content-Type": "application/json"}
    for content in (b"", b"[]", b"{", b'{"scope": "a", "scope": "b"}', b"\xff", b"NaN"):
        response = server.http.post("/register", content=content, headers=json_type)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")
    assert server.http.post("/register", data=CONTROLLER).json()["error"] == (
        "invalid_client_metadata"
    )
    huge = server.http.post("/register", json={**CONTROLLER, "x": "y" * 100_000})
    assert huge.status_code == 413


def test_unknown_metadata_is_ignored_and_known_comes_back(server: Served) -> None:
    """RFC 7591 Section 3.2.1: "all registered metadata about this client"."""
    more = {
        "client_uri": "https://example.com",
        "logo_uri": "https://example.com/logo",
        "contacts": ["me@example.com"],
        "software_id": "abc",
        "software_version": "1.2",
    }
    answer = post(server, {**CONTROLLER, **more, "frobnicate": True, "application_type": "web"})
    assert answer.status_code == 201
    assert more.items() <= answer.json().items()
    assert "frobnicate" not in answer.json()


def test_open_registration_has_a_bound() -> None:
    """Strangers cannot fill the disk, and not for ever keep others out; who holds a token can."""
    clock = Clock()
    policy = RegistrationPolicy(
        initial_access_tokens=(SecretStr(INITIAL),), most_open_registrations=2
    )
    with served(registration=policy, clock=clock) as server, browsing(server) as browser:
        used = register(server)
        browser.authorize(used.request())
        assert [post(server, CONTROLLER).status_code for _ in range(2)] == [201, 503]
        refused = post(server, CONTROLLER)
        assert refused.json()["error"] == "temporarily_unavailable"
        assert post(server, NODE, INITIAL).status_code == 201
        clock.now += int(refused.headers["retry-after"]) + 1
        assert post(server, CONTROLLER).status_code == 201
        # What a user authorized is still there.
        assert server.http.get(used.uri, headers=used.bearer).status_code == 200


def test_open_registration_has_a_rate() -> None:
    """So many a minute, and after the time that the refusal names there is room for another."""
    clock = Clock(1_800_000_000.0)
    policy = RegistrationPolicy(open_registrations_per_minute=3)
    with served(registration=policy, clock=clock) as server:
        for _ in range(2):
            assert [post(server, CONTROLLER).status_code for _ in range(3)] == [201] * 3
            refused = post(server, CONTROLLER)
            assert refused.status_code == 503
            wait = int(refused.headers["retry-after"])
            assert wait <= 60
            clock.now += wait


@pytest.mark.parametrize(
    "policy",
    [
        RegistrationPolicy(open_registrations_per_minute=2),
        RegistrationPolicy(most_open_registrations=2),
    ],
    ids=["rate", "bound"],
)
def test_a_clock_that_is_set_back_keeps_nobody_out(policy: RegistrationPolicy) -> None:
    """Clients that registered while it was ahead count as if it had been long ago."""
    clock = Clock()
    with served(registration=policy, clock=clock) as server:
        assert [post(server, CONTROLLER).status_code for _ in range(3)] == [201, 201, 503]
        clock.now -= 365 * 86400
        assert post(server, CONTROLLER).status_code == 201


def test_loopback_is_for_those_who_are_there(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token, a `jwks_uri` on loopback is for clients on loopback, and is called so.

    A page in a browser on this machine came from elsewhere.
    """
    document = {
        **CONTROLLER,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://localhost:9/jwks",
    }
    assert post(server, document).status_code == 201
    for path in ("admin/restart", "admin?restart=/jwks"):
        other = {**document, "jwks_uri": f"https://localhost:9/{path}"}
        assert "must end with /jwks" in post(server, other).json()["error_description"]
        assert post(server, other, INITIAL).status_code == 201
    page = {"Origin": "https://page.example.com"}
    assert server.http.post("/register", json=document, headers=page).status_code == 400
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}
    refused = server.http.post("/register", json=document, headers=elsewhere)
    assert refused.status_code == 400
    assert "must not be on loopback" in refused.json()["error_description"]
    elsewhere["Authorization"] = f"Bearer {INITIAL}"
    assert server.http.post("/register", json=document, headers=elsewhere).status_code == 201


def test_registrations_are_logged(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """IS-10 "Audit Requirements": by whom, which client, for what; no secret of it."""
    with caplog.at_level(logging.DEBUG):
        token = server.authority.initial_access_token().get_secret_value()
        answer = post(server, {**NODE, "token_endpoint_auth_method": "client_secret_basic"}, token)
        assert post(server, {**NODE, "scope": "x"}, token).status_code == 400
    own = [r.getMessage() for r in caplog.records if r.name == "nmos_auth.authority"]
    assert own[0].startswith(f"client registered: client_id={answer.json()['client_id']!r}")
    assert "by='initial access token of operator " in own[0]
    assert own[1].startswith("registration refused: error=invalid_client_metadata")
    hidden = [token, answer.json()["client_secret"], answer.json()["registration_access_token"]]
    servers = ("nmos_auth", "authlib", "joserfc", "starlette", "uvicorn")
    for record in caplog.records:
        if record.name.startswith(servers):
            assert not [value for value in hidden if value in record.getMessage()]


def test_the_operator_decides_what_registered_clients_get() -> None:
    """Scopes, permissions and audience come from the policy."""
    policy = RegistrationPolicy(
        audience=("*.studio.example.com",),
        permissions={"connection": Permissions(read=("single/*",))},
    )
    with served(registration=policy) as server, browsing(server) as browser:
        assert post(server, CONTROLLER).json()["error"] == "invalid_client_metadata"
        client = register(server, scope="connection")
        tokens = client.exchange(browser.code(client.request())).json()
        claims = server.verified(tokens["access_token"])
        assert claims["aud"] == ["*.studio.example.com"]
        assert claims["x-nmos-connection"] == {"read": ["single/*"]}


def test_a_policy_that_cannot_be_is_refused() -> None:
    """The message names the field."""
    with pytest.raises(ConfigurationError, match="audience"):
        RegistrationPolicy(audience=("node.example.com:80",))
    with pytest.raises(ConfigurationError, match="client_credentials_scopes"):
        RegistrationPolicy(permissions={"node": Permissions()}, client_credentials_scopes=("x",))
