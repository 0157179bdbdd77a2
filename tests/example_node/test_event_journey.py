"""Events from one Node to another, with tokens of a real Authorization Server, all over TLS."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from nmos_auth.authority import Client, Permissions
from nmos_auth.client import AuthMethod, AuthorizationClient, ClientSettings
from tests.authority.support import Served, served
from tests.support.servers import free_port, serving
from tests.support.tls import TestAuthority
from tests.support.waiting import eventually

SECRET = SecretStr("secret-0123456789")
CONTROLLER = Client(
    client_id="controller-of-events-0001",
    client_secret=SECRET,
    audience=("localhost",),
    scopes=("connection",),
    client_credentials_scopes=("connection",),
    permissions={"connection": Permissions(read=("*",), write=("single/*",))},
)
WEBSOCKET = "urn:x-nmos:transport:websocket"


def receiving_client(*specifiers: str) -> Client:
    """A Node that may read some events."""
    return Client(
        client_id="node-with-receivers-0001",
        client_secret=SECRET,
        audience=("localhost",),
        scopes=("events",),
        permissions={"events": Permissions(read=specifiers)},
    )


@dataclass(frozen=True)
class Running:
    """A Node, and a controller's client of its Connection API."""

    node: ReferenceNode
    http: httpx2.Client

    def enable(self, kind: str, endpoint_id: str, **changes: object) -> None:
        """Activate one Sender or Receiver."""
        patch = {
            "master_enable": True,
            "activation": {"mode": "activate_immediate"},
            **changes,
        }
        response = self.http.patch(f"{kind}/{endpoint_id}/staged", json=patch)
        assert response.status_code == 200, response.text

    def active(self, kind: str, endpoint_id: str) -> dict[str, object]:
        """What is active of one Sender or Receiver: its one leg."""
        (leg,) = self.http.get(f"{kind}/{endpoint_id}/active").json()["transport_params"]
        assert isinstance(leg, dict)
        return leg

    def events(self, kind: str) -> list[str]:
        """The Senders or Receivers of events: tally first, temperature last."""
        endpoints = self.node.senders if kind == "senders" else self.node.receivers
        return [each for each, found in endpoints.items() if found.transport_type == WEBSOCKET]


@contextmanager
def running(authority: Served, tls: TestAuthority, *, seed: str) -> Iterator[Running]:
    """Run a Node that gets its tokens for events from the authority."""
    client = AuthorizationClient(
        ClientSettings(
            id="node-with-receivers-0001",
            secret=SECRET,
            auth_method=AuthMethod.CLIENT_SECRET_BASIC,
            scope=("events",),
            servers=(authority.issuer,),
            ca_file=tls.ca_file,
        )
    )
    port = free_port()
    app: FastAPI = create_app(
        Settings(
            host_name="localhost",
            port=port,
            interfaces=("lo",),
            seed=seed,
            event_interval=0.05,
            registry_discovery="off",
        ),
        nmos_auth.Settings(
            audience="localhost",
            servers=authority.issuer,
            ca_file=tls.ca_file,
            audit_log="logging",
        ),
        client=client,
    )
    token = authority.token("connection", CONTROLLER)
    with (
        serving(app, tls=tls.server_context("localhost"), port=port),
        httpx2.Client(
            base_url=f"https://localhost:{port}/x-nmos/connection/v1.1/single/",
            verify=tls.client_context(),
            headers={"Authorization": f"Bearer {token}"},
        ) as http,
    ):
        eventually(lambda: http.get("senders").status_code != 503)
        yield Running(app.state.node, http)


@contextmanager
def two_nodes(tls: TestAuthority, *specifiers: str) -> Iterator[tuple[Running, Running]]:
    """Run a Node that sends and one that receives, and may read what the specifiers say."""
    with (
        served(tls=tls, clients=(CONTROLLER, receiving_client(*specifiers))) as authority,
        running(authority, tls, seed="sends") as sending,
        running(authority, tls, seed="receives") as receiving,
    ):
        yield sending, receiving


def test_events_go_from_node_to_node(tls: TestAuthority) -> None:
    """A controller stages what the Senders offer; both Receivers share one connection."""
    with two_nodes(tls, "sources/*") as (sending, receiving):
        senders, receivers = sending.events("senders"), receiving.events("receivers")
        for sender_id, receiver_id in ((senders[0], receivers[0]), (senders[2], receivers[1])):
            sending.enable("senders", sender_id)
            offer = sending.active("senders", sender_id)
            receiving.enable(
                "receivers", receiver_id, sender_id=sender_id, transport_params=[offer]
            )
        received = receiving.node.events.received
        eventually(lambda: received.keys() == set(receivers))
        lamp, gauge = received[receivers[0]], received[receivers[1]]
        assert (
            lamp.identity.source_id == sending.active("senders", senders[0])["ext_is_07_source_id"]
        )
        assert isinstance(lamp.payload.value, bool)
        assert (gauge.event_type, gauge.payload.scale) == ("number/temperature/C", 10)
        # It goes on, and ends with the activation that says so.
        eventually(lambda: received[receivers[0]] != lamp)
        receiving.enable("receivers", receivers[0], master_enable=False)
        last = received[receivers[0]]
        before = received[receivers[1]]
        eventually(lambda: received[receivers[1]] != before)
        assert received[receivers[0]] == last
        (subscription,) = {
            each.subscription.sender_id
            for each in receiving.node.resources.receivers.values()
            if each.subscription.active
        }
        assert subscription == senders[2]


def test_a_receiver_gets_what_its_token_permits(tls: TestAuthority) -> None:
    """The Authorization Server decided that this Node sees nothing but one other Source."""
    with two_nodes(tls, "sources/11111111-1111-4111-8111-111111111111") as (sending, receiving):
        (sender_id, *_), (receiver_id, *_) = (
            sending.events("senders"),
            receiving.events("receivers"),
        )
        sending.enable("senders", sender_id)
        offer = sending.active("senders", sender_id)
        receiving.enable("receivers", receiver_id, transport_params=[offer])
        time.sleep(0.5)  # many changes of every value
        assert receiving.node.events.received == {}


def test_without_its_token_a_receiver_gets_nothing(tls: TestAuthority) -> None:
    """A Receiver that is told to use no authorization is refused, and goes on trying."""
    with two_nodes(tls, "sources/*") as (sending, receiving):
        (sender_id, *_), (receiver_id, *_) = (
            sending.events("senders"),
            receiving.events("receivers"),
        )
        sending.enable("senders", sender_id)
        offer = sending.active("senders", sender_id)
        no_token = {**offer, "connection_authorization": False}
        receiving.enable("receivers", receiver_id, transport_params=[no_token])
        time.sleep(0.3)
        assert receiving.node.events.received == {}
        receiving.enable("receivers", receiver_id, transport_params=[offer])
        eventually(lambda: receiver_id in receiving.node.events.received)
