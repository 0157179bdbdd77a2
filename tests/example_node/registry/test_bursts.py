"""A Registry that has just started again, and all Nodes of a plant at once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from example_node.registry import Settings, create_app
from nmos_auth.testing import StandInAuthorizationServer
from tests.example_node.registry.support import HOST, REGISTRATION, bearer, post, uuid
from tests.example_node.support import running
from tests.support.redis import redis_server

MANY = 3000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_all_are_registered(server: StandInAuthorizationServer, tmp_path: Path) -> None:
    """However long they keep the event loop, none is told to come later."""
    everything = {"registration": ["*"]}
    token = server.token(read=everything, write=everything, lifetime=300)
    with redis_server(tmp_path) as url:
        app = create_app(Settings(host_name=HOST, redis=url), server.settings())
        async with running(app) as client:
            # The keys of the Authorization Server are there before the Nodes are.
            assert (await client.get(REGISTRATION, headers=bearer(token))).status_code == 200
            answers = await asyncio.gather(
                *(post(client, "node", token, id=uuid(number)) for number in range(MANY))
            )
    assert Counter(each.status_code for each in answers) == {201: MANY}
