"""What all NMOS APIs of the Node do alike: slashes, methods, CORS, error bodies."""

import json
import re

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app, registry
from example_node.conventions import LARGEST_BODY
from example_node.node import ReferenceNode
from tests.example_node.support import (
    BULK,
    EVENTS,
    HOST,
    NODE,
    SINGLE,
    UNKNOWN,
    assert_error,
    rtp_only,
    running,
)


@pytest.fixture
def client(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client that names its origin, as browsers do."""
    client.headers["Origin"] = "https://controller.example.com"
    return client


def paths(node: ReferenceNode) -> list[str]:
    """Every path that can be read."""
    found = ["/", "/x-nmos", "/x-nmos/node", "/x-nmos/connection", NODE, "/x-nmos/connection/v1.1"]
    resources = node.resources
    for kind, collection in (
        ("devices", resources.devices),
        ("sources", resources.sources),
        ("flows", resources.flows),
        ("senders", resources.senders),
        ("receivers", resources.receivers),
    ):
        found += [f"{NODE}/{kind}", *(f"{NODE}/{kind}/{each}" for each in collection)]
    found += [f"{NODE}/self", SINGLE, BULK, f"{SINGLE}/senders", f"{SINGLE}/receivers"]
    single = ("", "/constraints", "/staged", "/active", "/transporttype")
    for child in single:
        found += [f"{SINGLE}/senders/{each}{child}" for each in node.senders]
        found += [f"{SINGLE}/receivers/{each}{child}" for each in node.receivers]
    found += [f"{SINGLE}/senders/{each}/transportfile" for each in rtp_only(node.senders)]
    found += [EVENTS, f"{EVENTS}/sources"]
    for child in ("", "/state", "/type"):
        found += [f"{EVENTS}/sources/{each}{child}" for each in node.events.sources]
    return found


async def test_every_resource_is_there_with_and_without_a_slash(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """GET answers 200 for both forms of every path, the same each time, without a redirect."""
    for path in paths(node):
        plain = await client.get(path)
        slashed = await client.get(path.rstrip("/") + "/")
        assert plain.status_code == slashed.status_code == 200, path
        assert plain.content == slashed.content
        assert plain.headers["access-control-allow-origin"] == "*"
        if not path.endswith("transportfile"):
            assert plain.headers["content-type"] == "application/json"


async def test_head_answers_as_get_without_a_body(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """HEAD has the headers of GET and no body."""
    for path in paths(node):
        get, head = await client.get(path), await client.head(path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers == get.headers


async def test_options_answers_200(client: httpx2.AsyncClient, node: ReferenceNode) -> None:
    """OPTIONS that is not a preflight names the methods of the resource."""
    for path in [*paths(node), f"{BULK}/senders", f"{BULK}/receivers"]:
        response = await client.options(path)
        assert response.status_code == 200, path
        assert "OPTIONS" in response.headers["allow"]


async def test_a_preflight_is_answered(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """A browser may send JSON with the methods of the API."""
    for path, method in (
        (f"{sender}/staged", "PATCH"),
        (f"{receiver}/staged", "GET"),
        (f"{BULK}/senders", "POST"),
        (f"{NODE}/receivers/{UNKNOWN}/target", "PUT"),
    ):
        asked = {
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "Content-Type, Authorization",
        }
        response = await client.options(path, headers=asked)
        assert response.status_code == 200
        assert method in response.headers["access-control-allow-methods"].split(", ")
        allowed = response.headers["access-control-allow-headers"].lower()
        assert set(allowed.split(", ")) >= {"content-type", "authorization"}
        assert response.headers["access-control-allow-origin"] == "*"


async def test_scripts_may_read_what_controllers_need(node_settings: Settings) -> None:
    """Of Node and Registry alike: pages, places and challenges; with cookies from named pages."""
    origin = "https://controller.example.com"
    wanted = {"Link", "Location", "X-Paging-Limit", "X-Paging-Since", "X-Paging-Until"}
    for origins, credentials in (("*", None), (origin, "true")):
        auth_settings = nmos_auth.Settings(enabled=False, cors_origins=origins)
        node = create_app(node_settings, auth_settings)
        nodes = registry.create_app(registry.Settings(host_name=HOST), auth_settings)
        for app, path in ((node, f"{NODE}/self"), (nodes, "/x-nmos/query/v1.3/nodes")):
            async with running(app) as client:
                answer = await client.get(path, headers={"Origin": origin})
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert wanted <= set(exposed)
            assert answer.headers["access-control-allow-origin"] == origins
            assert answer.headers.get("access-control-allow-credentials") == credentials


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/x-nmos/nothing",
        "/x-nmos/node/v1.2",
        f"{NODE}/nothing",
        f"{NODE}/senders/{UNKNOWN}",
        f"{NODE}/senders/not-a-uuid",
        f"{NODE}/self/nothing",
        f"{SINGLE}/nothing",
        f"{SINGLE}/senders/{UNKNOWN}",
        f"{SINGLE}/senders/{UNKNOWN}/staged",
        f"{SINGLE}/senders/{UNKNOWN}/transportfile",
        f"{SINGLE}/receivers/{UNKNOWN}/active/",
        f"{SINGLE}/receivers/{UNKNOWN}/transportfile",
    ],
)
async def test_what_is_not_there_is_404(client: httpx2.AsyncClient, path: str) -> None:
    """An unknown path or id is a 404 with an NMOS body."""
    assert_error(await client.get(path), 404)


async def test_a_patch_of_an_unknown_id_is_404(client: httpx2.AsyncClient) -> None:
    """PATCH too tells that a Sender or Receiver does not exist."""
    assert_error(await client.patch(f"{SINGLE}/senders/{UNKNOWN}/staged", json={}), 404)
    assert_error(await client.patch(f"{SINGLE}/receivers/{UNKNOWN}/staged", json={}), 404)


async def test_other_methods_are_405(client: httpx2.AsyncClient, sender: str) -> None:
    """A method the resource does not have is a 405 that names those it has."""
    response = await client.delete(f"{sender}/staged")
    assert_error(response, 405)
    assert response.headers["allow"] == "GET, HEAD, PATCH, OPTIONS"
    assert_error(await client.post(f"{NODE}/self", json={}), 405)


@pytest.mark.parametrize("kind", ["senders", "receivers"])
async def test_reading_bulk_resources_is_405(client: httpx2.AsyncClient, kind: str) -> None:
    """ConnectionAPI.raml wants a 405 for GET on /bulk/senders and /bulk/receivers."""
    for path in (f"{BULK}/{kind}", f"{BULK}/{kind}/"):
        response = await client.get(path)
        assert_error(response, 405)
        assert response.headers["allow"] == "POST, OPTIONS"


async def test_the_deprecated_target_is_501(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """Receivers' targets are not provided, which IS-04 v1.3 permits, and OPTIONS is answered."""
    receiver_id = next(iter(node.receivers))
    path = f"{NODE}/receivers/{receiver_id}/target"
    assert_error(await client.put(path, json={}), 501)
    assert (await client.options(path)).status_code == 200
    assert_error(await client.put(f"{NODE}/receivers/{UNKNOWN}/target", json={}), 404)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 100_000]
)
async def test_what_is_no_json_object_is_400(
    client: httpx2.AsyncClient, sender: str, content: bytes
) -> None:
    """A body that is not JSON, or not an object, is a 400."""
    headers = {"Content-Type": "application/json"}
    response = await client.patch(f"{sender}/staged", content=content, headers=headers)
    assert_error(response, 400)


@pytest.mark.parametrize("content_type", [None, "", "application/json; charset=utf-8"])
async def test_a_body_needs_no_content_type(
    client: httpx2.AsyncClient, sender: str, content_type: str | None
) -> None:
    """JSON is what an NMOS API is sent, and some Controllers do not say so."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    content = b'{"master_enable": true}'
    response = await client.patch(f"{sender}/staged", content=content, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["master_enable"] is True


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]
)
async def test_a_wrong_content_type_is_named(
    client: httpx2.AsyncClient, sender: str, content_type: str
) -> None:
    """Not the schema is what the request does not meet, and the answer says so."""
    headers = {"Content-Type": f"{content_type}; charset=utf-8"}
    response = await client.patch(f"{sender}/staged", content=b"{}", headers=headers)
    assert_error(response, 415)
    expected = f"Content-Type is {content_type}, and must be application/json"
    assert response.json()["error"] == expected


async def test_a_request_without_a_body_may_have_any_content_type(
    client: httpx2.AsyncClient, sender: str
) -> None:
    """Only where a body is expected does its type matter."""
    response = await client.get(f"{sender}/staged", headers={"Content-Type": "text/plain"})
    assert response.status_code == 200


async def test_a_body_that_is_too_large_is_413(client: httpx2.AsyncClient, sender: str) -> None:
    """The Node stops reading a body that nothing it takes could need."""
    headers = {"Content-Type": "application/json"}
    for size, status in ((LARGEST_BODY, 400), (LARGEST_BODY + 1, 413)):
        content = b" " * size
        response = await client.patch(f"{sender}/staged", content=content, headers=headers)
        assert_error(response, status)


async def test_the_origins_of_the_settings_may_read_answers(node_settings: Settings) -> None:
    """NMOS_AUTH_CORS_ORIGINS holds for the Node's own answers, and for its failures."""
    known = "https://known.example.com"
    app = create_app(node_settings, nmos_auth.Settings(enabled=False, cors_origins=known))

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    async with running(app) as client:
        for path in ("/x-nmos", "/nothing"):
            for origin, expected in ((known, known), ("https://other.example.com", None)):
                answer = await client.get(path, headers={"Origin": origin})
                assert answer.headers.get("access-control-allow-origin") == expected
        failure = await client.get("/broken", headers={"Origin": "https://other.example.com"})
        assert failure.status_code == 500
        assert "access-control-allow-origin" not in failure.headers


async def test_text_that_cannot_be_sent_back_is_400(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """Half of a surrogate pair, which JSON can express, is refused and does not fail the Node."""
    headers = {"Content-Type": "application/json"}
    for path, content in (
        (sender, rb'{"\ud800": 1}'),
        (sender, rb'{"transport_params": [{"\ud800": 1}]}'),
        (sender, rb'{"transport_params": [{"source_ip": "\ud800"}]}'),
        (receiver, rb'{"transport_file": {"data": "v=0\n\ud800", "type": "application/sdp"}}'),
        (receiver, rb'{"transport_file": {"data": "v=0\n", "type": "\ud800"}}'),
    ):
        response = await client.patch(f"{path}/staged", content=content, headers=headers)
        assert_error(response, 400)


async def test_a_failure_of_the_node_is_an_nmos_error_too(
    client: httpx2.AsyncClient, app: FastAPI
) -> None:
    """What goes wrong inside is a 500 that tells nothing about the inside."""

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("something internal")

    response = await client.get("/broken")
    assert_error(response, 500)
    assert "internal" not in response.text
    assert response.headers["access-control-allow-origin"] == "*"


async def test_the_openapi_document_can_be_made(client: httpx2.AsyncClient) -> None:
    """The interactive documentation finds every route."""
    document = (await client.get("/openapi.json")).json()
    assert f"{SINGLE}/senders/{{sender_id}}/staged" in document["paths"]


async def test_the_documentation_needs_no_other_network(client: httpx2.AsyncClient) -> None:
    """All that the page loads comes from the Node, because plants have no public network."""
    page = await client.get("/docs")
    assert '"validatorUrl": null' in page.text
    assert page.status_code == 200
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) >= 3
    for path in loaded:
        assert path.startswith("/"), path
        assert (await client.get(path)).status_code == 200
    assert "://" not in page.text
    assert (await client.get("/redoc")).status_code == 404


async def test_every_address_is_the_advertised_one(node_settings: Settings) -> None:
    """Behind a proxy that ends TLS no href and no endpoint is where the Node listens."""
    settings = node_settings.model_copy(
        update={"protocol": "http", "port": 8080, "advertised_url": "https://cams.example.com:443"}
    )
    app = create_app(settings, nmos_auth.Settings(enabled=False))
    async with running(app) as client:
        node = (await client.get(f"{NODE}/self")).json()
        devices = (await client.get(f"{NODE}/devices")).json()
        senders = (await client.get(f"{NODE}/senders")).json()
        staged = [
            (await client.get(f"{SINGLE}/senders/{each['id']}/active")).json()["transport_params"]
            for each in senders
        ]
    (endpoint,) = node["api"]["endpoints"]
    assert (endpoint["protocol"], endpoint["host"], endpoint["port"]) == (
        "https",
        "cams.example.com",
        443,
    )
    urls = re.findall(r"(?:http|ws)s?://[^/\"]+", json.dumps([node, devices, senders, staged]))
    assert set(urls) == {"https://cams.example.com:443", "wss://cams.example.com:443"}


async def test_the_registry_has_the_same_conventions() -> None:
    """Documentation, Content-Type and advertised addresses are as those of the Node."""
    settings = registry.Settings(
        host_name=HOST, protocol="http", advertised_url="https://registry.example.com"
    )
    auth_settings = nmos_auth.Settings(enabled=False)
    async with running(registry.create_app(settings, auth_settings)) as client:
        assert "://" not in (await client.get("/docs")).text
        subscriptions = "/x-nmos/query/v1.3/subscriptions"
        asked = {"max_update_rate_ms": 100, "resource_path": "/nodes", "params": {}}
        content = json.dumps({**asked, "persist": False})
        created = await client.post(subscriptions, content=content)
        assert created.status_code == 201, created.text
        assert created.json()["ws_href"].startswith("wss://registry.example.com:443/")
        assert created.json()["secure"] is True
        headers = {"Content-Type": "text/plain"}
        assert_error(await client.post(subscriptions, content=content, headers=headers), 415)
