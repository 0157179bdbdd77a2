"""NMOS_AUTH_CLIENT_*: what is read, and what is refused by the name of its variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from nmos_auth.client import AuthMethod, AuthorizationClient, ClientSettings, Grant
from nmos_auth.client.settings import SHARED, unknown_client_variables
from nmos_auth.errors import ConfigurationError
from tests.client.conftest import MakeClientSettings


def test_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every variable is read, and those shared with the server half by their names there."""
    key = Fernet.generate_key().decode()
    values = {
        "NMOS_AUTH_CLIENT_NAME": "ACME Gateway 42",
        "NMOS_AUTH_CLIENT_SCOPE": "registration events",
        "NMOS_AUTH_CLIENT_GRANT": "client_credentials",
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "private_key_jwt",
        "NMOS_AUTH_CLIENT_JWKS_URI": "https://node.example.com/jwks",
        "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": "initial-token",
        "NMOS_AUTH_CLIENT_STORE": str(tmp_path / "store"),
        "NMOS_AUTH_CLIENT_STORE_KEY": key,
        "NMOS_AUTH_SERVERS": "https://a.example.com,https://b.example.com/nmos",
        "NMOS_AUTH_DISCOVERY": "off",
        "NMOS_AUTH_DNS_DOMAIN": "example.com",
        "NMOS_AUTH_ALLOW_HTTP": "false",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = ClientSettings()
    assert settings.scope == ("registration", "events")
    assert settings.grant is Grant.CLIENT_CREDENTIALS
    assert settings.auth_method is AuthMethod.PRIVATE_KEY_JWT
    assert settings.servers == ("https://a.example.com", "https://b.example.com/nmos")
    assert settings.dns_domain == "example.com"
    assert "initial-token" not in repr(settings)
    assert key not in repr(settings)


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"auth_method": "tls_client_auth"}, "NMOS_AUTH_CLIENT_AUTH_METHOD"),
        ({"grant": "password"}, "NMOS_AUTH_CLIENT_GRANT"),
        ({"scope": 'regi"stration'}, "NMOS_AUTH_CLIENT_SCOPE"),
        ({"scope": "registration connection"}, "NMOS_AUTH_CLIENT_SCOPE"),
        ({"auth_method": "none"}, "NMOS_AUTH_CLIENT_AUTH_METHOD"),
        ({"jwks_uri": "http://node.example.com/jwks"}, "NMOS_AUTH_CLIENT_JWKS_URI"),
        ({"jwks_uri": "https:///jwks"}, "NMOS_AUTH_CLIENT_JWKS_URI"),
        ({"redirect_uri": "/callback"}, "NMOS_AUTH_CLIENT_REDIRECT_URI"),
        ({"redirect_uri": "https://c.example.com/cb#x"}, "NMOS_AUTH_CLIENT_REDIRECT_URI"),
        ({"redirect_uri": "http://c.example.com/cb"}, "NMOS_AUTH_CLIENT_REDIRECT_URI"),
        (
            {
                "redirect_uri": "https://c.example.com/cb",
                "servers": "https://a.example.com,https://b.example.com",
            },
            "NMOS_AUTH_CLIENT_REDIRECT_URI",
        ),
        ({"store": "/nowhere/at/all/store"}, "NMOS_AUTH_CLIENT_STORE"),
        ({"store": "/"}, "NMOS_AUTH_CLIENT_STORE"),
        ({"store_key": "too short"}, "NMOS_AUTH_CLIENT_STORE_KEY"),
        ({"secret": "s3cret-value"}, "NMOS_AUTH_CLIENT_SECRET"),
        ({"id": "abc", "auth_method": "client_secret_basic"}, "NMOS_AUTH_CLIENT_SECRET"),
        ({"id": "abc", "secret": "s3cret-value"}, "NMOS_AUTH_CLIENT_SECRET"),
        ({"servers": "http://a.example.com"}, "NMOS_AUTH_SERVERS"),
        ({"servers": "a.example.com"}, "NMOS_AUTH_SERVERS"),
        ({"ca_file": "/nowhere.pem"}, "NMOS_AUTH_CA_FILE"),
        ({"discovery": "magic"}, "NMOS_AUTH_DISCOVERY"),
    ],
)
def test_wrong_values_name_their_variable(values: dict[str, str], variable: str) -> None:
    """A wrong value is refused by the name of its variable, and no secret is repeated."""
    with pytest.raises(ConfigurationError, match=f"^{variable}: ") as caught:
        ClientSettings(**values)
    assert "s3cret-value" not in str(caught.value)
    assert "too short" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"initial_access_token": "Bearer s3cret-value"}, "write only the token behind it"),
        ({"initial_access_token": "bearer  s3cret-value"}, "write only the token behind it"),
        ({"initial_access_token": "s3cret-value\n"}, "write only the token"),
        ({"initial_access_token": " s3cret-value"}, "write only the token"),
        ({"initial_access_token": "s3cret-value,x"}, "write only the token"),
        ({"initial_access_token": '"s3cret-value"'}, "write only the token"),
        ({"id": "abc\n"}, "write only the client id"),
        (
            {"id": "abc", "auth_method": "client_secret_basic", "secret": "s3cret-value\n"},
            "write only the client secret",
        ),
        (
            {"id": "abc", "auth_method": "client_secret_basic", "secret": "s3cret-valu\u00e9"},
            "write only the client secret",
        ),
        ({"https_proxy": "http://user:s3cret-value@proxy.example.com \n"}, "HOST:PORT"),
        ({"store_key": "s3cret-value\n"}, "Fernet"),
    ],
)
def test_secrets_have_the_characters_of_their_grammar(values: dict[str, str], words: str) -> None:
    """RFC 6750 Section 2.1, RFC 6749 Appendix A: what no header can carry is refused, unshown."""
    *_, name = values
    variable = SHARED.get(name, f"NMOS_AUTH_CLIENT_{name.upper()}")
    with pytest.raises(ConfigurationError, match=f"^{variable}: .*{words}") as caught:
        ClientSettings(**values)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", ["abc", "a.b-c_d~e+f/g==", "x" * 5000])
def test_every_bearer_token_may_be_an_initial_access_token(token: str) -> None:
    """RFC 6750 Section 2.1: letters, digits, six other characters, and = at the end."""
    kept = ClientSettings(initial_access_token=token).initial_access_token
    assert kept is not None
    assert kept.get_secret_value() == token


def test_scopes_between_semicolons_are_refused() -> None:
    """RFC 6749 permits a semicolon within a scope, and nobody means one."""
    with pytest.raises(ConfigurationError, match="separated by spaces or commas"):
        ClientSettings(scope="registration;events")


def test_client_credentials_beyond_bcp_003_02_where_arranged() -> None:
    """CREDENTIALS_SCOPE opens the grant for scopes that a deployment has arranged."""
    assert ClientSettings(scope="query", credentials_scope="query").scope == ("query",)
    assert ClientSettings(scope="query node", credentials_scope="*").scope == ("query", "node")


def test_redirect_uris_of_native_controllers() -> None:
    """Loopback addresses and private-use schemes are redirect URIs (RFC 8252 Section 7)."""
    for uri in ("http://127.0.0.1/callback", "http://[::1]/callback", "com.example.app:/callback"):
        assert ClientSettings(redirect_uri=uri).redirect_uri == uri


def test_unknown_variables_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is found."""
    for name in ("NMOS_AUTH_CLIENT_NAMES", "NMOS_AUTH_CLIENT_NAME"):
        monkeypatch.setenv(name, "x")
    assert unknown_client_variables() == ["NMOS_AUTH_CLIENT_NAMES"]


async def test_a_client_warns_of_unknown_variables(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it reads its settings from the environment, with the name that was probably meant."""
    monkeypatch.setenv("NMOS_AUTH_CLIENT_STORES", "/var/lib/node/client")
    async with AuthorizationClient():
        pass
    assert "NMOS_AUTH_CLIENT_STORES (did you mean NMOS_AUTH_CLIENT_STORE?)" in caplog.text


def test_everything_that_is_missing_is_told_at_once(make_settings: MakeClientSettings) -> None:
    """A Controller that lacks five settings is told so by one start, and with one line."""
    settings = make_settings(
        name=None, scope="", auth_method="private_key_jwt", grant="authorization_code"
    )
    with pytest.raises(ConfigurationError) as caught:
        settings.check_complete(stores="logins are kept there", finds_servers=True)
    told = str(caught.value)
    for name in ("NAME", "SCOPE", "JWKS_URI", "REDIRECT_URI", "STORE"):
        assert f"NMOS_AUTH_CLIENT_{name}: " in told
    assert "NMOS_AUTH_SERVERS: " in told
    assert told.count("it is not set") == 6


def test_a_token_is_asked_for_with_all_settings_or_none(make_settings: MakeClientSettings) -> None:
    """`tokens` tells what is missing before anything is sent."""
    client = AuthorizationClient(make_settings("https://auth.example.com", name=None, scope=""))
    with pytest.raises(ConfigurationError, match=r"CLIENT_SCOPE.*CLIENT_NAME"):
        client.tokens()


@pytest.mark.parametrize("name", ["name", "scope", "store", "redirect_uri", "secret"])
def test_values_that_are_not_utf_8(make_settings: MakeClientSettings, name: str) -> None:
    """What the environment has in other bytes is refused, and named."""
    with pytest.raises(ConfigurationError, match=f"NMOS_AUTH_CLIENT_{name.upper()}: .*UTF-8"):
        make_settings(**{name: "caf\udce9"})


def test_a_store_with_a_name_that_is_too_long(
    make_settings: MakeClientSettings, tmp_path: Path
) -> None:
    """It is refused with the variable's name, as a wrong value is."""
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_CLIENT_STORE: .*name too long"):
        make_settings(store=tmp_path / ("x" * 300))
