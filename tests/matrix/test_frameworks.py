"""The examples for each framework, served as the documentation shows them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from nmos_auth.testing import StandInAuthorizationServer
from tests.matrix.processes import SERVERS, environment_of, require, running
from tests.support.audit import lines_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FRAMEWORKS = {
    "fastapi": "node",
    "starlette": "starlette_node",
    "litestar": "litestar_node",
    "quart": "quart_node",
}
SELF = "/x-nmos/node/v1.3/self"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_example(
    framework: str,
    server: StandInAuthorizationServer,
    tmp_path: Path,
) -> None:
    """401, 403 and preflights are the middleware's, and the handler knows who asks."""
    require(framework)
    program = SERVERS["uvicorn, h11"]
    environment = environment_of(server, tmp_path)
    app = f"{FRAMEWORKS[framework]}:app"
    with (
        running(program, app, environment, tmp_path / "log", path=EXAMPLES) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert client.get(SELF).status_code == 401
        refused = client.get(SELF, headers=server.headers(server.token(write={"node": ["*"]})))
        assert refused.status_code == 403
        assert refused.json()["code"] == 403
        passed = client.get(SELF, headers=server.headers(server.token(read={"node": ["self"]})))
        assert passed.status_code == 200
        assert passed.json()["asked_by"] == "client-of-a-test-0001"
        asked = {"Origin": "https://c.example.com", "Access-Control-Request-Method": "GET"}
        preflight = client.options(SELF, headers=asked)
        assert preflight.status_code == 200
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
    outcomes = [line["outcome"] for line in lines_of(tmp_path / "audit.log")]
    assert outcomes.count("authorized") >= 1
    assert outcomes.count("rejected") == 2
