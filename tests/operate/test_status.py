"""Status, readiness and liveness of a running Node, and the same as metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from nmos_auth import ConfigurationError, NmosAuthMiddleware, Settings
from nmos_auth.operate.metrics import instrument
from nmos_auth.status import status_routes
from nmos_auth.testing import StandInAuthorizationServer
from tests.support.waiting import eventually

SELF = "/x-nmos/node/v1.3/self"
READ = {"node": ["self"]}
DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"


def node(settings: Settings, provider: MeterProvider | None = None) -> FastAPI:
    """Make a Node with all three routes, and metrics where a provider is given."""
    app = FastAPI()
    app.add_middleware(NmosAuthMiddleware, settings=settings)
    app.router.routes.extend(status_routes())

    async def self_(_: Request) -> JSONResponse:
        return JSONResponse({"id": "self"})

    app.add_route(SELF, self_)
    if provider is not None:
        instrument(app, meter_provider=provider)
    return app


def ask_three_times(client: TestClient, server: StandInAuthorizationServer) -> None:
    """Make one request that is permitted, and two that are not."""
    good, useless = server.token(read=READ), server.token()
    assert client.get(SELF, headers=server.headers(good)).status_code == 200
    assert client.get(SELF, headers=server.headers(useless)).status_code == 403
    assert client.get("/x-nmos/made-up-by-a-client/v1.0/").status_code == 401


def test_the_snapshot(server: StandInAuthorizationServer) -> None:
    """Issuers, keys, decisions and the audit log, and no token."""
    with TestClient(node(server.settings())) as client:
        ask_three_times(client, server)
        answer = client.get("/status")
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (told["ready"], told["enabled"], told["audience"]) == (True, True, [server.audience])
    (issuer,) = told["issuers"]
    assert issuer["url"] == server.issuer
    assert len(issuer["keys"]) == 1
    assert issuer["keys"][0]["bits"] == 2048
    counted = {(each["api"], each["reason"]): each["count"] for each in told["decisions"]}
    assert counted == {
        ("node", "permitted"): 1,
        ("node", "permission"): 1,
        ("other", "no credentials"): 1,
    }
    assert told["audit"]["lost"] == 0
    assert "eyJ" not in answer.text


def test_ready_once_keys_are_held(server: StandInAuthorizationServer) -> None:
    """Until then 503 with Retry-After, so that no balancer sends a request; alive all the time."""
    settings = server.settings(static_keys_file=None, servers="http://127.0.0.1:1")
    with TestClient(node(settings)) as client:
        answer = client.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False})
        assert answer.headers["retry-after"] == "1"
        assert client.get("/live").status_code == 200
        assert client.get("/status").json()["issuers"][0]["keys"] == []
    with TestClient(node(server.settings())) as client:
        assert client.get("/ready").status_code == 200


def test_ready_without_authorization() -> None:
    """NMOS_AUTH_ENABLED=false: nothing is verified, and nothing is waited for."""
    with TestClient(node(Settings(enabled=False))) as client:
        assert client.get("/ready").status_code == 200
        told = client.get("/status").json()
    assert (told["enabled"], told["ready"]) == (False, True)


def test_without_the_middleware() -> None:
    """A status of nothing would say that all is well."""
    app = FastAPI()
    app.router.routes.extend(status_routes())
    with TestClient(app) as client, pytest.raises(ConfigurationError, match="add_middleware"):
        client.get("/status")


def points(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], float]]:
    """Return values by name and the labels' values, sorted by their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    data = reader.get_metrics_data()
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    labels = point.attributes or {}
                    key = tuple(str(labels[name]) for name in sorted(labels))
                    found.setdefault(metric.name, {})[key] = point.value  # type: ignore[union-attr]
    return found


def test_metrics_by_the_real_sdk(server: StandInAuthorizationServer) -> None:
    """Counted by outcome, reason, API and method, all from closed sets; gauges by issuer."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    app = node(server.settings(), provider)
    with TestClient(app) as client:
        ask_three_times(client, server)
        told = points(reader)
    assert told["nmos_auth.decisions"] == {
        ("node", "GET", "authorized", "permitted"): 1,
        ("node", "GET", "rejected", "permission"): 1,
        ("other", "GET", "rejected", "no credentials"): 1,
    }
    assert told["nmos_auth.ready"] == {(): 1}
    assert told["nmos_auth.keys"] == {(server.issuer,): 1}
    assert told["nmos_auth.audit.lost"] == {(): 0}
    provider.shutdown()


def test_metrics_before_the_start(server: StandInAuthorizationServer) -> None:
    """An exporter that comes before the first request gets nothing, and no error."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    node(server.settings(), provider)
    assert reader.get_metrics_data() is None
    provider.shutdown()


def test_metrics_for_prometheus_and_the_dashboard(server: StandInAuthorizationServer) -> None:
    """The names that the dashboard asks for are those that Prometheus gets."""
    provider = MeterProvider([PrometheusMetricReader()])
    asking = server.settings(servers=server.issuer, static_keys_file=None)
    with TestClient(node(asking, provider)) as client:
        # The server is asked after the start.
        eventually(lambda: client.get("/status").json()["issuers"][0]["clock_offset"] is not None)
        ask_three_times(client, server)
        shown = generate_latest(REGISTRY).decode()
    provider.shutdown()
    assert "nmos_auth_decisions_total{" in shown
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(asked) >= 6
    names = {line.split("{")[0].split(" ")[0] for line in shown.splitlines() if line[:1] != "#"}
    # Tokens are those of a client half, which this Node has not.
    names.add("nmos_auth_client_token_remaining_seconds")
    for expression in asked:
        assert any(name in expression for name in names if name.startswith("nmos_auth")), expression
