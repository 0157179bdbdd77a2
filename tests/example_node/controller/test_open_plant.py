"""A plant without authorization; and what settings the Controller starts with."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

import nmos_auth
from example_node import Settings, create_app
from example_node.controller import Settings as ControllerSettings
from example_node.controller import create_app as create_controller
from example_node.controller.client import make_client
from example_node.registry import Settings as RegistrySettings
from example_node.registry import create_app as create_registry
from nmos_auth.client import AuthorizationClient
from nmos_auth.errors import ConfigurationError
from tests.example_node.controller.world import HOST, Person, until
from tests.support.servers import free_port, serving

OPEN = nmos_auth.Settings(enabled=False)


@pytest.fixture(scope="module")
def anybody() -> Iterator[Person]:
    """Run an open plant, and open a browser at its Controller."""
    ports = [free_port() for _ in range(3)]
    registry, node, controller = ports
    common: dict[str, object] = {"host_name": HOST, "protocol": "http"}
    registries = (f"http://{HOST}:{registry}",)
    apps = [
        create_registry(
            RegistrySettings.model_validate({**common, "port": registry, "pri": "off"}), OPEN
        ),
        create_app(
            Settings.model_validate(
                {**common, "port": node, "interfaces": ("lo",), "registries": registries}
            ),
            OPEN,
        ),
    ]
    for app in apps:
        app.openapi()
    settings = ControllerSettings.model_validate(
        {
            **common,
            "port": controller,
            "authorization": False,
            "registries": registries,
            "networks": ("127.0.0.0/8", "::1/128"),
        }
    )
    with (
        serving(apps[0], port=registry),
        serving(apps[1], port=node),
        serving(create_controller(settings), port=controller),
        httpx.Client(base_url=settings.origin, follow_redirects=True) as http,
    ):
        yield Person(http, "anybody")


def test_nobody_logs_in(anybody: Person) -> None:
    """Pages are there at once, and connections are made without a token."""
    until(lambda: anybody.http.get("/").url.path == "/routing")
    until(lambda: anybody.http.get("/routing").text.count('type="radio"') >= 10)
    page = anybody.http.get("/routing?q=video&s=video").text
    ids = [part.split('"')[0] for part in page.split('type="radio" form="take" name="')[1:]]
    assert ids == ["receiver", "sender"]
    receiver, sender = (
        page.split(f'name="{kind}" value="')[1].split('"')[0] for kind in ("receiver", "sender")
    )
    said = anybody.post("/take", receiver=receiver, sender=sender)
    assert said["status"] == 200
    assert "This plant has no authorization" in anybody.http.get("/me").text


def test_foreign_pages_are_kept_out_all_the_same(anybody: Person) -> None:
    """There is no cookie that could be missing: origin and host decide."""
    foreign = {"origin": "https://evil.example"}
    assert anybody.http.post("/take", headers=foreign).status_code == 403
    assert anybody.http.get("/routing", headers={"host": "evil.example"}).status_code == 421


def test_settings_that_cannot_work_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way to know a registry, http with tokens, a host that is none: each names its setting."""
    monkeypatch.setenv("NMOS_AUTH_DISCOVERY", "off")
    monkeypatch.setenv("NMOS_AUTH_CLIENT_AUTH_METHOD", "none")
    cases: list[tuple[dict[str, object], str]] = [
        ({"host_name": HOST}, "EXAMPLE_CONTROLLER_REGISTRIES: none is named"),
        ({"host_name": HOST, "registries": ("http://a.example",)}, "EXAMPLE_CONTROLLER_REGISTRIES"),
        (
            {"host_name": HOST, "registries": ("https://a.example",), "token_hosts": ("a/b",)},
            "EXAMPLE_CONTROLLER_TOKEN_HOSTS",
        ),
    ]
    for values, said in cases:
        with pytest.raises(ConfigurationError, match=said):
            create_controller(ControllerSettings.model_validate(values))


def test_it_is_a_confidential_client_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its public keys are where its registration says; a redirect URI for each server."""
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "https://auth.example.com")
    values = {"host_name": "controller.example.com", "registries": ("https://a.example",)}
    client: AuthorizationClient = make_client(ControllerSettings.model_validate(values))
    assert client.settings.jwks_uri == "https://controller.example.com:8445/jwks"
    uri = "https://controller.example.com:8445/callback/{server}"
    assert client.settings.redirect_uri == uri
