"""What a device lists is not believed, and what its version does not have is not asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from nmos_auth.probe.device import learn
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import Wire
from tests.probe.broken_node import answer
from tests.probe.scene import AUDIENCE, authorities
from tests.support.servers import serving

ODD = ["a b", "a\r\nHost: b", "\u00e9", "..", ".", "", "a%2fb", "a?b", 7, None, ["a"]]
LISTS: Mapping[str, object] = {
    "/x-nmos/": [*ODD, "node/"],
    "/x-nmos/node/": [*ODD, f"v{'9' * 5000}.0/", "v1.3/"],
    "/x-nmos/node/v1.3/": [*ODD, "self/", "devices/"],
    "/x-nmos/node/v1.3/self": json.loads("[" * 500 + "]" * 500),
    "/x-nmos/node/v1.3/devices": [],
}


async def test_only_names_that_fit_a_target_are_asked_for() -> None:
    """The rest ends neither the run nor a request line."""
    asked: list[str] = []

    async def device(scope: Scope, _: Receive, send: Send) -> None:
        asked.append(scope["raw_path"].decode())
        await answer(send, 200, LISTS[scope["path"]], {})

    with serving(device, lifespan="off") as port:
        found = await learn(Wire("127.0.0.1", port, None), lambda _: "token")
    (api,) = found.apis
    assert (api.base, api.path, api.other) == ("/x-nmos/node/v1.3", "self", "devices")
    assert set(asked) == LISTS.keys()


OLD: Mapping[str, object] = {
    "/x-nmos/": ["node/"],
    "/x-nmos/node/": ["v1.2/"],
    "/x-nmos/node/v1.2/": ["self/", "devices/", "senders/"],
    "/x-nmos/node/v1.2/self": {"api": {"endpoints": [{"host": "node.invalid"}]}},
    "/x-nmos/node/v1.2/devices": [{"controls": [{"href": "http://node.invalid/x-nmos/a/"}]}],
    "/x-nmos/node/v1.2/senders": [{"id": 7, "manifest_href": "http://[::1"}],
}


async def test_what_a_version_does_not_have_does_not_apply() -> None:
    """`authorization` is of IS-04 v1.3; a manifest without IS-05 may be anywhere."""

    async def device(scope: Scope, _: Receive, send: Send) -> None:
        await answer(send, 200, OLD[scope["path"]], {})

    async with authorities() as servers:
        with serving(device, lifespan="off") as port:
            wire, plan = Wire("127.0.0.1", port, None), Plan(AUDIENCE, [Suite.RESOURCES])
            probe = Probe(wire, servers.authority, servers.neighbour, plan)
            results = [each async for each in probe.run()]
    assert len(results) == 4
    assert {each.verdict for each in results} == {Verdict.INAPPLICABLE}
