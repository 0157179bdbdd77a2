"""A Keycloak realm, in the shape of Keycloak's own export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmos_auth.cli import main
from nmos_auth.errors import ConfigurationError
from nmos_auth.operate.keycloak import PERMISSIONS, keycloak_realm, read_permissions
from nmos_auth.rules.permissions import AccessPermissions

TABLE = Path(__file__).parents[2] / "docs" / "examples" / "permissions.json"
AUDIENCE = ("https://*.example.com", "registry.example.com")


def token_of(realm: dict[str, object], scope: str) -> dict[str, object]:
    """Return the claims that Keycloak makes of a realm's mappers, for a client with one scope."""
    claims: dict[str, object] = {}
    audience: list[str] = []
    scopes = realm["clientScopes"]
    assert isinstance(scopes, list)
    for each in scopes:
        if each["name"] not in {"basic", scope}:
            continue
        for mapper in each["protocolMappers"]:
            config = mapper["config"]
            assert all(isinstance(value, str) for value in config.values()), mapper
            assert config["access.token.claim"] == "true"
            if mapper["protocolMapper"] == "oidc-sub-mapper":
                claims["sub"] = "user"
            elif mapper["protocolMapper"] == "oidc-audience-mapper":
                audience.append(config["included.custom.audience"])
            else:
                assert mapper["protocolMapper"] == "oidc-hardcoded-claim-mapper"
                assert config["jsonType.label"] == "JSON"
                claims[config["claim.name"]] = json.loads(config["claim.value"])
    return claims | {"aud": audience}


def test_its_tokens_are_those_of_is_10() -> None:
    """RS512, `sub`, the audiences, and the claim of the API as a JSON object that grants."""
    realm = keycloak_realm("nmos", AUDIENCE, read_permissions(TABLE.read_text("utf-8")))
    assert realm["defaultSignatureAlgorithm"] == "RS512"
    claims = token_of(realm, "connection")
    assert claims["sub"]
    assert claims["aud"] == list(AUDIENCE)
    permissions = AccessPermissions.from_claim(claims["x-nmos-connection"])
    assert permissions is not None
    assert permissions.write.match("single/senders/1/staged")
    assert not permissions.write.match("bulk/senders")
    assert "x-nmos-query" not in claims


def test_it_has_a_key_for_its_algorithm() -> None:
    """Without one Keycloak goes on with RS256."""
    components = keycloak_realm("nmos", AUDIENCE, PERMISSIONS)["components"]
    assert isinstance(components, dict)
    (provider,) = components["org.keycloak.keys.KeyProvider"]
    assert provider["config"]["algorithm"] == ["RS512"]


def test_nobody_registers_unless_that_is_asked_for() -> None:
    """Anonymous registration is for named hosts; every list of a component is of texts."""
    for hosts in ((), ("*.example.com",)):
        components = keycloak_realm("nmos", AUDIENCE, PERMISSIONS, hosts=hosts)["components"]
        assert isinstance(components, dict)
        (policies,) = [value for key, value in components.items() if "registration" in key]
        (trusted,) = [each for each in policies if each["providerId"] == "trusted-hosts"]
        assert trusted["config"]["trusted-hosts"] == list(hosts)
        for each in policies:
            for values in each["config"].values():
                assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ('{"node": ["*"]}', "an object of read and write"),
        ('{"node": {"reads": ["*"]}}', "an object of read and write"),
        ('{"node": {"read": "*"}}', "a list of path specifiers"),
    ],
    ids=["cut off", "deep", "array", "no object", "unknown verb", "no list"],
)
def test_a_table_that_is_wrong(text: str, words: str) -> None:
    """What is wrong, and what to write."""
    with pytest.raises(ConfigurationError, match=words):
        read_permissions(text)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints JSON to import, and refuses an audience with a port."""
    options = ["keycloak-realm", "--permissions", str(TABLE), "--audience"]
    assert main([*options, "https://*.example.com"]) == 0
    assert json.loads(capsys.readouterr().out)["realm"] == "nmos"
    assert main([*options, "https://node1.example.com:8080"]) == 2
    assert "not a host name" in capsys.readouterr().err
