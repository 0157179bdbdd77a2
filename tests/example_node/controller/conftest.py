"""A plant that the tests of this room share."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from example_node.controller.connecting.changes import ConnectionLog
from example_node.controller.connecting.salvos import Salvos
from example_node.controller.desk import Surroundings
from example_node.controller.reach import permits
from example_node.registration.registries import ConfiguredRegistries
from nmos_auth.client import TokenHosts
from nmos_auth.servers.access import ServerAccess
from tests.example_node.controller.world import Person, World, node_of, see_all, until, world
from tests.support.tls import TestAuthority


@pytest.fixture
def surroundings() -> Surroundings:
    """Return what desks have in common where there is no Registry."""
    tls = ssl.create_default_context()
    return Surroundings(
        registries=lambda: ConfiguredRegistries(()),
        named=frozenset(),
        access=ServerAccess(tls),
        tls=tls,
        hosts=TokenHosts(),
        permitted=permits(()),
        allow_http=False,
        log=ConnectionLog(),
        salvos=Salvos(),
    )


@pytest.fixture(scope="package")
def plant(tls: TestAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run two Nodes, a Registry, an Authorization Server and a Controller."""
    with (
        world(tls, tmp_path_factory.mktemp("plant")) as running,
        running.node("Studio A"),
        running.node("Studio B"),
        running.controlling(),
    ):
        yield running


@pytest.fixture(scope="package")
def operator(plant: World) -> Iterator[Person]:
    """Log in somebody who may do everything."""
    with plant.person() as person:
        person.log_in()
        yield person


@pytest.fixture(scope="package")
def viewer(plant: World) -> Iterator[Person]:
    """Log in somebody who may only look."""
    with plant.person("viewer") as person:
        person.log_in()
        yield person


@pytest.fixture
def video(plant: World, operator: Person) -> Iterator[dict[str, str]]:
    """Return the video Receiver of the first Node and the Sender of the second; clean up."""
    see_all(operator)
    fields = {
        "receiver": next(iter(node_of(plant, 0).receivers)),
        "sender": next(iter(node_of(plant, 1).senders)),
    }
    node, receiver = node_of(plant), fields["receiver"]
    operator.post("/disconnect", receiver=receiver)
    # The Registry, and then the page, may have to hear of the end of another test too.
    until(
        lambda: (
            plant.registered["receivers"][receiver].data["version"]
            == node.resources.receivers[receiver].version
        )
    )
    not_connected = f'name="shown/{receiver}" value=""'
    until(lambda: not_connected in operator.http.get(f"/routing?q={receiver}").text)
    yield fields
    operator.post("/cancel", **fields)
    operator.post("/disconnect", **fields)
