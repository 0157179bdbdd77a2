"""Every NMOS_AUTH_* variable: its default, its values, and what a wrong one stops."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from nmos_auth import ConfigurationError, Settings
from nmos_auth.client import ClientSettings
from nmos_auth.client.settings import unknown_client_variables
from nmos_auth.servers.access import Proxy
from nmos_auth.settings import (
    Discovery,
    IssuerPolicy,
    access_to_servers,
    describe_unknown,
    unknown_variables,
)
from tests.support.tls import TestAuthority

HOST = "node7.studio.example.com"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment without settings, on a host with a name."""
    for name in list(os.environ):
        if name.upper().startswith("NMOS_AUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(socket, "getfqdn", lambda: HOST)


# Defaults, as the table of the contract has them

DEFAULTS: dict[str, object] = {
    "enabled": True,
    "audience": (HOST,),
    "servers": (),
    "discovery": "unicast",
    "dns_domain": None,
    "dns_servers": (),
    "issuer_policy": "same-host",
    "trusted_issuers": (),
    "static_keys_file": None,
    "ca_file": None,
    "client_certificate": None,
    "client_certificate_key": None,
    "https_proxy": None,
    "user_agent": "asgi-nmos-auth",
    "allow_http": False,
    "refresh_interval": 3600,
    "refetch_interval": 10,
    "keys_file": None,
    "leeway": 1,
    "expired_sockets": "keep",
    "audit_log": "stderr",
    "audit_limit": 500,
    "cors_origins": ("*",),
    "remembered_tokens": 1024,
    "remembered_requests": 2048,
}


def test_defaults() -> None:
    """An empty environment means what the contract says, variable by variable."""
    assert Settings().model_dump() == DEFAULTS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_an_empty_variable_is_none_at_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and unit files set variables to nothing: that leaves the default."""
    monkeypatch.setenv(f"NMOS_AUTH_{name.upper()}", "")
    assert getattr(Settings(), name) == DEFAULTS[name]


def test_defaults_are_read_when_settings_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is read as it is then, not as it was at import."""
    assert Settings().leeway == 1
    monkeypatch.setenv("NMOS_AUTH_LEEWAY", "5")
    monkeypatch.setattr(socket, "getfqdn", lambda: "other.example.com")
    assert Settings().leeway == 5
    assert Settings().audience == ("other.example.com",)


# Values


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ENABLED", "false", False),
        ("ENABLED", "true", True),
        ("ENABLED", "0", False),
        ("AUDIENCE", "node1.example.com", ("node1.example.com",)),
        ("AUDIENCE", "Node1.Example.com.", ("node1.example.com",)),
        ("AUDIENCE", "localhost", ("localhost",)),
        ("SERVERS", "https://auth.example.com", ("https://auth.example.com",)),
        ("SERVERS", "https://auth.example.com/", ("https://auth.example.com/",)),
        ("SERVERS", "https://auth.example.com:8443/v1.0", ("https://auth.example.com:8443/v1.0",)),
        ("SERVERS", "https://192.0.2.1:8443", ("https://192.0.2.1:8443",)),
        ("SERVERS", "https://[2001:db8::1]:8443", ("https://[2001:db8::1]:8443",)),
        ("DISCOVERY", "unicast", Discovery.UNICAST),
        ("DISCOVERY", "multicast", Discovery.MULTICAST),
        ("DISCOVERY", "both", Discovery.BOTH),
        ("DISCOVERY", "off", Discovery.OFF),
        ("DNS_DOMAIN", "studio.example.com", "studio.example.com"),
        ("ISSUER_POLICY", "same-host", IssuerPolicy.SAME_HOST),
        ("ISSUER_POLICY", "configured", IssuerPolicy.CONFIGURED),
        ("TRUSTED_ISSUERS", "https://auth.example.com", ("https://auth.example.com",)),
        ("ALLOW_HTTP", "true", True),
        ("ALLOW_HTTP", "false", False),
        ("REFRESH_INTERVAL", "60", 60),
        ("REFRESH_INTERVAL", "0.5", 0.5),
        ("REFETCH_INTERVAL", "2.5", 2.5),
        ("LEEWAY", "0", 0),
        ("LEEWAY", "2.5", 2.5),
        ("EXPIRED_SOCKETS", "keep", "keep"),
        ("EXPIRED_SOCKETS", "close", "close"),
        ("AUDIT_LOG", "stderr", "stderr"),
        ("AUDIT_LOG", "stdout", "stdout"),
        ("AUDIT_LOG", "logging", "logging"),
        ("AUDIT_LOG", "off", "off"),
        ("AUDIT_LOG", "/dev/null", "/dev/null"),
        ("AUDIT_LOG", "./audit.log", "./audit.log"),
        ("AUDIT_LIMIT", "0", 0),
        ("DNS_SERVERS", "192.0.2.53, [2001:db8::53]:5353", ("192.0.2.53", "[2001:db8::53]:5353")),
        ("USER_AGENT", "Acme Node/7 (studio 1)", "Acme Node/7 (studio 1)"),
        ("AUDIENCE", "[2001:DB8::0:7]", ("2001:db8::7",)),
        ("AUDIENCE", "2001:db8::7,192.0.2.7", ("2001:db8::7", "192.0.2.7")),
        ("AUDIT_LIMIT", "0.5", 0.5),
        ("CORS_ORIGINS", "*", ("*",)),
        ("CORS_ORIGINS", "https://control.example.com", ("https://control.example.com",)),
        ("CORS_ORIGINS", "http://localhost:8080", ("http://localhost:8080",)),
        ("CORS_ORIGINS", "https://Control.example.com:443", ("https://control.example.com",)),
    ],
)
def test_values(name: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable takes what the contract says it means."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", text)
    assert getattr(Settings(), name.lower()) == value


def test_files(tmp_path: Path, tls: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths may name files that are there and, where we write them, files that are not yet."""
    monkeypatch.setenv("NMOS_AUTH_CA_FILE", str(tls.ca_file))
    monkeypatch.setenv("NMOS_AUTH_KEYS_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("NMOS_AUTH_AUDIT_LOG", str(tmp_path / "audit.log"))
    settings = Settings()
    assert settings.ca_file == Path(tls.ca_file)
    assert settings.keys_file == tmp_path / "keys.json"
    assert settings.audit_log == str(tmp_path / "audit.log")
    assert list(tmp_path.glob("audit.log")) == []


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("AUDIENCE", ("node1.example.com", "node1", "192.0.2.1")),
        ("SERVERS", ("https://b.example.com", "https://a.example.com/x", "https://c.example.com")),
        ("TRUSTED_ISSUERS", ("https://b.example.com", "https://a.example.com")),
        ("CORS_ORIGINS", ("https://a.example.com", "http://b.example.com:8080")),
    ],
)
@pytest.mark.parametrize("separator", [",", ", ", " , ", ",,", "\n,"])
def test_lists_are_comma_separated(
    name: str, entries: tuple[str, ...], separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists keep their order, white space around entries is nothing, nor are empty entries."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", separator.join(entries) + ",")
    assert getattr(Settings(), name.lower()) == entries


@pytest.mark.parametrize(
    "name", ["AUDIENCE", "SERVERS", "TRUSTED_ISSUERS", "DNS_SERVERS", "CORS_ORIGINS"]
)
@pytest.mark.parametrize("separator", [" ", ";", "; ", "\n", "\t"])
def test_what_separates_a_list_otherwise_is_told_of_commas(
    name: str, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries between spaces, line breaks or semicolons are refused, whatever the list is of."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", separator.join(("192.0.2.1", "192.0.2.2")))
    with pytest.raises(ConfigurationError, match=f"^NMOS_AUTH_{name}: .*by commas$"):
        Settings()


def test_arguments_take_the_place_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract: "`settings=Settings(...)` overrides the environment"."""
    monkeypatch.setenv("NMOS_AUTH_LEEWAY", "5")
    monkeypatch.setenv("NMOS_AUTH_REFETCH_INTERVAL", "7")
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "rubbish")
    settings = Settings(leeway=2, servers=["https://a.example.com", "https://b.example.com"])
    assert settings.leeway == 2
    assert settings.refetch_interval == 7
    assert settings.servers == ("https://a.example.com", "https://b.example.com")


def test_keys_that_somebody_wrote_are_not_replaced(tmp_path: Path) -> None:
    """The file of static keys cannot be that of kept keys too, by whatever name."""
    static, link = tmp_path / "static.json", tmp_path / "kept.json"
    static.write_text('{"issuers": {}}')
    static.chmod(0o600)
    link.symlink_to(static)
    for path in (static, link):
        with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_KEYS_FILE: it is the file of"):
            Settings(static_keys_file=static, keys_file=path)


def test_settings_do_not_change() -> None:
    """What was checked stays so."""
    settings = Settings(leeway=2)
    with pytest.raises(ValueError, match="frozen"):
        settings.leeway = 300  # type: ignore[misc]
    assert settings.leeway == 2


# This host's name


@pytest.mark.parametrize(
    ("fqdn", "audience"),
    [
        ("node7.studio.example.com", "node7.studio.example.com"),
        ("Node7.Example.com", "node7.example.com"),
        ("node7.example.com.", "node7.example.com"),
    ],
)
def test_the_audience_is_this_host(
    fqdn: str, audience: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract: the default is this host's FQDN, in the form in which it is compared."""
    monkeypatch.setattr(socket, "getfqdn", lambda: fqdn)
    assert Settings().audience == (audience,)
    assert Settings().realm == audience


@pytest.mark.parametrize("fqdn", ["node7", "localhost", "", "node7.", "node 7.example.com"])
def test_a_host_without_a_domain_does_not_start(fqdn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract: "refuse to start where the FQDN has no dot"."""
    monkeypatch.setattr(socket, "getfqdn", lambda: fqdn)
    with pytest.raises(ConfigurationError, match="NMOS_AUTH_AUDIENCE"):
        Settings()
    assert Settings(audience="node7").audience == ("node7",)


def test_a_node_that_protects_nothing_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With authorization off nobody asks who this server is."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "localhost")
    monkeypatch.setenv("NMOS_AUTH_ENABLED", "false")
    assert not Settings().enabled


def test_the_realm_is_the_first_name() -> None:
    """Challenges name the server as it is known first."""
    assert Settings(audience="node1.example.com,node1").realm == "node1.example.com"


# Wrong values


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENABLED", "perhaps"),
        ("ENABLED", "2"),
        # IS-10 "Behaviour: Access Tokens", aud: names, without "port numbers, URL paths or URL
        # query parameters"; a server has names and no patterns
        ("AUDIENCE", "*.example.com"),
        ("AUDIENCE", "*"),
        ("AUDIENCE", "node1.example.com:443"),
        ("AUDIENCE", "https://node1.example.com/x-nmos"),
        ("AUDIENCE", "node 1"),
        ("AUDIENCE", "node1.example.com,node1.example.com:443"),
        ("AUDIENCE", "n\u00f6de.example.com"),
        # RFC 8414 Section 2, issuer: "a URL that uses the "https" scheme and has no query or
        # fragment components"
        ("SERVERS", "auth.example.com"),
        ("SERVERS", "https://"),
        ("SERVERS", "https:///path"),
        ("SERVERS", "https:auth.example.com"),
        ("SERVERS", "http://auth.example.com"),
        ("SERVERS", "ftp://auth.example.com"),
        ("SERVERS", "https://auth.example.com?a=b"),
        ("SERVERS", "https://auth.example.com?"),
        ("SERVERS", "https://auth.example.com#a"),
        ("SERVERS", "https://user@auth.example.com"),
        ("SERVERS", "https://auth.example.com:99999"),
        ("SERVERS", "https://auth.example.com:port"),
        ("SERVERS", "https://auth.example.com https://b.example.com"),
        ("SERVERS", "https://a.example.com,b.example.com"),
        ("SERVERS", "https://[2001:db8::1"),
        ("DISCOVERY", "dns"),
        ("DISCOVERY", "true"),
        ("ISSUER_POLICY", "any"),
        ("TRUSTED_ISSUERS", "auth.example.com"),
        ("TRUSTED_ISSUERS", "http://auth.example.com"),
        ("TRUSTED_ISSUERS", "https://auth.example.com?a=b"),
        ("CA_FILE", "no-such-file.pem"),
        ("CA_FILE", "/"),
        ("CA_FILE", "/dev/null"),
        ("CA_FILE", __file__),
        ("ALLOW_HTTP", "perhaps"),
        ("REFRESH_INTERVAL", "0"),
        ("REFRESH_INTERVAL", "-1"),
        ("REFRESH_INTERVAL", "nan"),
        ("REFRESH_INTERVAL", "inf"),
        ("REFRESH_INTERVAL", "1h"),
        ("REFETCH_INTERVAL", "0"),
        ("REFETCH_INTERVAL", "-1"),
        ("REFETCH_INTERVAL", "nan"),
        ("REFETCH_INTERVAL", "soon"),
        ("KEYS_FILE", "no/such/directory/keys.json"),
        ("KEYS_FILE", "/"),
        ("LEEWAY", "-1"),
        ("LEEWAY", "nan"),
        ("LEEWAY", "inf"),
        ("LEEWAY", "a second"),
        ("EXPIRED_SOCKETS", "closed"),
        ("AUDIT_LOG", "no/such/directory/audit.log"),
        ("AUDIT_LOG", "audit.log"),
        ("AUDIT_LOG", "sterr"),
        ("AUDIT_LIMIT", "-1"),
        ("CORS_ORIGINS", "control.example.com"),
        ("CORS_ORIGINS", "https://control.example.com/"),
        ("CORS_ORIGINS", "https://control.example.com/path"),
        ("CORS_ORIGINS", "https://a.example.com https://b.example.com"),
        ("CORS_ORIGINS", "*.example.com"),
        # An empty list of servers would mean discovery, and so other servers.
        ("SERVERS", ","),
        ("AUDIENCE", " , "),
        ("DNS_SERVERS", ",,"),
        ("SERVERS", " "),
        ("TRUSTED_ISSUERS", "\n"),
    ],
)
def test_a_wrong_value_stops_the_start(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract: "A wrong value stops the start, with a message that names the variable"."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", text)
    with pytest.raises(ConfigurationError, match=rf"\bNMOS_AUTH_{name}\b"):
        Settings()


def test_a_wrong_argument_is_named_like_its_variable() -> None:
    """A value given by name is checked as strictly, and the message says the same."""
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_LEEWAY"):
        Settings(leeway=-1)
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_SERVERS"):
        Settings(servers=["auth.example.com"])


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends one mends them all."""
    monkeypatch.setenv("NMOS_AUTH_LEEWAY", "never")
    monkeypatch.setenv("NMOS_AUTH_DISCOVERY", "never")
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "never")
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    for name in ("LEEWAY", "DISCOVERY", "SERVERS"):
        assert f"NMOS_AUTH_{name}" in str(caught.value)


def test_an_argument_that_is_no_setting_is_refused() -> None:
    """A misspelt name never passes for a default."""
    with pytest.raises(ConfigurationError, match=r"audienc \(did you mean audience\?\)"):
        Settings(audienc="node1.example.com")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ENABLED", "maybe", "'maybe' is not one of true, false"),
        ("DISCOVERY", "dns", "'dns' is not one of unicast, multicast, both, off"),
        ("ISSUER_POLICY", "any", "'any' is not one of same-host, configured"),
        ("LEEWAY", "soon", "'soon' is not a number"),
        ("LEEWAY", "301", "'301' is out of range; it must be less than or equal to 300"),
        ("REFRESH_INTERVAL", "0", "'0' is out of range; it must be greater than 0"),
        (
            "SERVERS",
            "https://auth.example.com/.well-known/oauth-authorization-server/nmos",
            "write its issuer, https://auth.example.com/nmos",
        ),
        (
            "SERVERS",
            "https://auth.example.com/realms/a/.well-known/openid-configuration",
            "write its issuer, https://auth.example.com/realms/a",
        ),
        ("AUDIT_LOG", "sterr", "neither stderr, stdout, logging, off nor a path with a slash"),
        ("AUDIENCE", "node1.example.com:8080", "without a port or a path"),
        ("DNS_SERVERS", "ns.example.com", "'ns.example.com' is not the address of a DNS server"),
        ("DNS_SERVERS", "192.0.2.53:99999", "'192.0.2.53:99999' is not the address"),
        ("HTTPS_PROXY", "proxy.example.com", "write http://HOST:PORT"),
        ("USER_AGENT", "a\tb", "printable ASCII"),
        ("CA_FILE", "/dev/null", "/dev/null is a device"),
        ("STATIC_KEYS_FILE", "/nowhere/keys.json", "/nowhere/keys.json does not exist"),
        ("CLIENT_CERTIFICATE_KEY", "{key}", "it requires NMOS_AUTH_CLIENT_CERTIFICATE"),
        ("CLIENT_CERTIFICATE", "{key}", "and its key cannot be used"),
    ],
)
def test_a_wrong_value_is_shown_with_what_is_allowed(
    name: str, text: str, said: str, tls: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the message knows what to write."""
    _, key = tls.write_server_files("node1.example.com")
    monkeypatch.setenv(f"NMOS_AUTH_{name}", text.replace("{key}", str(key)))
    with pytest.raises(ConfigurationError, match=rf"NMOS_AUTH_{name}: ") as caught:
        Settings()
    assert said in str(caught.value)


def test_a_proxys_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in settings nor in an error."""
    monkeypatch.setenv("NMOS_AUTH_HTTPS_PROXY", "http://me:hunter2@proxy.example.com:3128")
    settings = Settings()
    access = access_to_servers(settings)
    assert access.proxy == Proxy("http://proxy.example.com:3128", ("me", "hunter2"))
    assert "hunter2" not in f"{settings!r} {access!r}"
    monkeypatch.setenv("NMOS_AUTH_HTTPS_PROXY", "http://me:hunter2@proxy.example.com")
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


# The env file


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that NMOS_AUTH_ENV_FILE names."""
    path = tmp_path / "node.env"
    path.write_text(
        "# for node 7\nNMOS_AUTH_LEEWAY=7\nexport NMOS_AUTH_SERVERS='https://a.example.com'\n"
        "NMOS_AUTH_USER_AGENT=${HOME}\nNMOS_AUTH_AUDIENCE=\nNMOS_AUTH_SERVER=x\n"
        "NMOS_AUTH_CLIENT_NAME=node7\nNMOS_AUTH_CLIENT_STOER=x\n"
    )
    path.chmod(0o600)
    monkeypatch.setenv("NMOS_AUTH_ENV_FILE", str(path))
    return path


def test_the_env_file_is_read(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, under the environment, by both halves, misspelt variables included."""
    settings = Settings()
    assert (settings.leeway, settings.servers) == (7, ("https://a.example.com",))
    assert settings.user_agent == "${HOME}"
    assert settings.audience == (HOST,)
    monkeypatch.setenv("NMOS_AUTH_LEEWAY", "8")
    assert Settings().leeway == 8
    assert Settings(leeway=9).leeway == 9
    assert unknown_variables() == ["NMOS_AUTH_SERVER"]
    client = ClientSettings()
    assert (client.name, client.servers) == ("node7", ("https://a.example.com",))
    assert unknown_client_variables() == ["NMOS_AUTH_CLIENT_STOER"]


def test_a_wrong_value_in_the_env_file_is_named(env_file: Path) -> None:
    """As one in the environment is."""
    env_file.write_text("NMOS_AUTH_LEEWAY=soon\n")
    with pytest.raises(ConfigurationError, match=r"NMOS_AUTH_LEEWAY: 'soon' is not a number"):
        Settings()


@pytest.mark.parametrize("how", ["missing", "planted", "pipe", "binary"])
def test_an_env_file_that_may_not_be_used_stops_the_start(env_file: Path, how: str) -> None:
    """It holds secrets, and says whom to trust."""
    if how == "planted":
        env_file.chmod(0o666)
    elif how == "binary":
        env_file.write_bytes(b"\xff")
    else:
        env_file.unlink()
        if how == "pipe":
            os.mkfifo(env_file)
    for made in (Settings, ClientSettings):
        with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_ENV_FILE: ") as caught:
            made()
        assert str(env_file) in str(caught.value)


def test_no_env_file_is_read_that_nobody_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file called .env may be another program's."""
    (tmp_path / ".env").write_text("NMOS_AUTH_LEEWAY=7\n")
    monkeypatch.chdir(tmp_path)
    assert Settings().leeway == 1


@pytest.mark.parametrize("name", ["SERVERS", "TRUSTED_ISSUERS"])
def test_http_issuers_are_for_development(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract: ALLOW_HTTP allows http issuers, and the refusal says so."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", "http://localhost:8080")
    with pytest.raises(ConfigurationError, match=rf"NMOS_AUTH_{name}.*NMOS_AUTH_ALLOW_HTTP"):
        Settings()
    monkeypatch.setenv("NMOS_AUTH_ALLOW_HTTP", "true")
    assert getattr(Settings(), name.lower()) == ("http://localhost:8080",)


@pytest.mark.parametrize("name", ["SERVERS", "TRUSTED_ISSUERS"])
def test_a_password_in_a_url_is_not_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret gets into an exception, where logs pick it up."""
    monkeypatch.setenv(f"NMOS_AUTH_{name}", "https://user:hunter2@auth.example.com/")
    with pytest.raises(ConfigurationError) as caught:
        Settings()
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


# Unknown variables


def test_unknown_variables_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that no setting reads; those of the client and of other programs are not among them."""
    for name in DEFAULTS:
        monkeypatch.setenv(f"NMOS_AUTH_{name.upper()}", "x")
    assert unknown_variables() == []
    unknown = ["NMOS_AUTH_", "NMOS_AUTH_AUDIENC", "NMOS_AUTH_SERVER"]
    for name in (*unknown, "NMOS_AUTH_CLIENT_NAME", "NMOS_AUTHORITY", "NMOS_OTHER"):
        monkeypatch.setenv(name, "x")
    assert unknown_variables() == unknown


def test_what_was_probably_meant_is_said() -> None:
    """In the warning at the start; a name that is like none is named without one."""
    assert describe_unknown(["NMOS_AUTH_SERVER", "NMOS_AUTH_ISSUERS", "NMOS_AUTH_X"]) == (
        "NMOS_AUTH_SERVER (did you mean NMOS_AUTH_SERVERS?),"
        " NMOS_AUTH_ISSUERS (did you mean NMOS_AUTH_TRUSTED_ISSUERS?), NMOS_AUTH_X"
    )


def test_an_unknown_variable_stops_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may have a setting of that name."""
    monkeypatch.setenv("NMOS_AUTH_AUDIENCES", "node1.example.com")
    assert Settings().audience == (HOST,)
