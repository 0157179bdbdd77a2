"""Registration by the settings."""

import pytest

import nmos_auth
from example_node import Settings
from example_node.registration import registries_of
from example_node.registration.registries import ConfiguredRegistries, DiscoveredRegistries
from nmos_auth import ConfigurationError
from nmos_auth.settings import Discovery
from tests.example_node.support import HOST


def auth(**changes: object) -> nmos_auth.Settings:
    """Return settings of authorization."""
    values: dict[str, object] = {"audience": HOST, "servers": "https://auth.example.com"}
    return nmos_auth.Settings(**(values | changes))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAMPLE_NODE_REGISTRY_DISCOVERY")


@pytest.mark.parametrize(
    ("registry_discovery", "discovery", "kind"),
    [
        (None, "unicast", DiscoveredRegistries),
        (None, "off", type(None)),
        (Discovery.OFF, "unicast", type(None)),
        (Discovery.UNICAST, "off", DiscoveredRegistries),
    ],
)
def test_discovery(registry_discovery: Discovery | None, discovery: str, kind: type) -> None:
    """As for Authorization Servers, unless it is said of registries."""
    settings = Settings(host_name=HOST, registry_discovery=registry_discovery)
    assert isinstance(registries_of(settings, auth(discovery=discovery)), kind)


def test_registries_that_are_named_need_no_discovery() -> None:
    """In their order."""
    urls = ("https://b.example.com", "https://a.example.com:8235")
    registries = registries_of(Settings(host_name=HOST, registries=urls), auth())
    assert isinstance(registries, ConfiguredRegistries)
    assert tuple(registries.known()) == urls


def test_tokens_do_not_go_to_http() -> None:
    """Unless that is allowed for development, or there are no tokens."""
    settings = Settings(host_name=HOST, registries=("http://registry.example.com",))
    with pytest.raises(ConfigurationError, match=r"EXAMPLE_NODE_REGISTRIES: .* unencrypted"):
        registries_of(settings, auth())
    assert registries_of(settings, auth(allow_http=True)) is not None
    assert registries_of(settings, auth(enabled=False)) is not None
