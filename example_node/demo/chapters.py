"""The requests, and the answers that IS-10 and BCP-003-02 require."""

import json
import secrets
import time
import urllib.parse

from websockets.asyncio.client import ClientConnection

from example_node.demo.requests import HOST, Use
from example_node.demo.story import Story, send
from nmos_auth.authority import Client, Permissions, TokenIssuer

NODE = "/x-nmos/node/v1.3"
CONNECTION = "/x-nmos/connection/v1.1"
EVENTS = "/x-nmos/events/v1.0"
CHANNEL_MAPPING = "/x-nmos/channelmapping/v1.0"
QUERY = "/x-nmos/query/v1.3"
REGISTRATION = "/x-nmos/registration/v1.3"

FORBIDDEN = "403 insufficient_scope"

_ALL = ("*",)
_READ = Permissions(read=_ALL)
_CONTROLLER = {
    "node": _READ,
    "connection": Permissions(read=_ALL, write=("single/*",)),
    "channelmapping": _READ,
    "events": _READ,
    "query": Permissions(read=_ALL, write=("subscriptions",)),
}
_ANOTHER_NODE = {"registration": Permissions(read=_ALL, write=_ALL)}


def make_controller() -> Client:
    """Make a Client that may read everything, write single endpoints, and subscribe."""
    return _make_client("controller", _CONTROLLER)


def make_other_node() -> Client:
    """Make a Client that may register, as any Node may."""
    return _make_client("other-node", _ANOTHER_NODE)


def _make_client(name: str, permissions: dict[str, Permissions]) -> Client:
    return Client(
        client_id=f"demo-{name}-{secrets.token_hex(8)}",
        client_secret=secrets.token_urlsafe(24),
        audience=(f"https://{HOST}",),
        scopes=tuple(permissions),
        # Set for this deployment: by default it is only for machines (BCP-003-02).
        client_credentials_scopes=tuple(permissions),
        permissions=permissions,
    )


def tell(story: Story, controller: Client, other_node: Client) -> None:
    """Send all requests of the table."""
    token = story.token(controller)
    story.settle(story.servers.node, f"{NODE}/self", token)
    _registration(story, token, story.token(other_node))
    _requests(story, controller, token)
    _events(story, controller, token)
    _subscriptions(story, controller, token)
    _rotation(story, controller, token)


def _registration(story: Story, token: str, other: str) -> None:
    """Show that the Node has registered with a token of its own, and owns its resources."""
    registry = story.servers.registry
    story.wait_for(registry, f"{QUERY}/receivers", token)
    answer = story.ask("the Node has registered", "200", registry, f"{QUERY}/nodes", token)
    node = json.loads(answer.body)[0]
    story.settle(registry, REGISTRATION, other)
    story.ask(
        "another client changes the Node",
        FORBIDDEN,
        registry,
        f"{REGISTRATION}/resource",
        other,
        method="POST",
        body={"type": "node", "data": {**node, "label": "mine"}},
    )
    heartbeat = f"{REGISTRATION}/health/nodes/{node['id']}"
    story.ask("another client's heartbeat", FORBIDDEN, registry, heartbeat, other, method="POST")


def _requests(story: Story, controller: Client, token: str) -> None:
    """Show reading and writing, with tokens that permit it and tokens that do not."""
    node = story.servers.node
    issue, scopes = story.authority.tokens.issue, controller.scopes
    reader = controller.model_copy(update={"permissions": {"connection": _READ, "node": _READ}})
    elsewhere = controller.model_copy(update={"audience": ("https://*.example.org",)})
    myself = f"{NODE}/self"
    answer = story.ask("read", "200", node, f"{CONNECTION}/single/senders", token)
    staged = f"{CONNECTION}/single/senders/{json.loads(answer.body)[0]}staged"
    change = {"master_enable": True}

    story.ask("public path, no token", "200", node, "/x-nmos/")
    story.ask("no token", "401", node, myself)
    story.ask("rubbish for a token", "401 invalid_token", node, myself, "rubbish")
    story.ask("expired", "401 invalid_token", node, myself, _expired(story, controller))
    story.ask("another audience", FORBIDDEN, node, myself, issue(elsewhere, scopes).text)
    story.ask("another scope", FORBIDDEN, node, myself, issue(controller, ["query"]).text)
    story.ask("read", "200", node, myself, token)
    story.ask("read the channel map", "200", node, f"{CHANNEL_MAPPING}/map/active", token)
    story.ask(
        "write, token may only read",
        FORBIDDEN,
        node,
        staged,
        issue(reader, scopes).text,
        method="PATCH",
        body=change,
    )
    story.ask("write", "200", node, staged, token, method="PATCH", body=change)
    around = f"{CONNECTION}/single/%2e%2e/bulk/senders"
    story.ask("write, round by dots", FORBIDDEN, node, around, token, method="POST", body=[])


def _events(story: Story, controller: Client, token: str) -> None:
    """Show an IS-07 WebSocket: each subscription is decided source by source."""
    node = story.servers.node
    answer = send(node, f"{EVENTS}/sources", token)
    sources = [each.removesuffix("/") for each in json.loads(answer.body)]
    device = json.loads(send(node, f"{NODE}/devices", token).body)[0]
    target = f"{EVENTS}/devices/{device['id']}"
    _activate_senders_of_events(story, token)
    one = {"events": Permissions(read=(f"sources/{sources[0]}",))}
    limited = story.authority.tokens.issue(
        controller.model_copy(update={"permissions": one}), ["events"]
    )
    seen = _states_of(sources)
    every, one_of_them = (f"101 states of {n} of {len(sources)}" for n in (len(sources), 1))
    story.connect("events, no token", "401", node, target, None, seen)
    story.connect("all sources, token for all", every, node, target, token, seen)
    story.connect("all sources, token for one", one_of_them, node, target, limited.text, seen)


def _activate_senders_of_events(story: Story, token: str) -> None:
    activation = {"master_enable": True, "activation": {"mode": "activate_immediate"}}
    for sender in json.loads(send(story.servers.node, f"{NODE}/senders", token).body):
        if sender["transport"] == "urn:x-nmos:transport:websocket":
            staged = f"{CONNECTION}/single/senders/{sender['id']}/staged"
            send(story.servers.node, staged, token, method="PATCH", body=activation)


def _states_of(sources: list[str]) -> Use:
    async def use(socket: ClientConnection) -> str:
        now = f"{int(time.time())}:0"
        await socket.send(json.dumps({"command": "subscription", "sources": sources}))
        # Messages before the answer to this come from the subscription.
        await socket.send(json.dumps({"command": "health", "timestamp": now}))
        seen = set()
        while (message := json.loads(await socket.recv()))["message_type"] != "health":
            seen.add(message["identity"]["source_id"])
        return f"states of {len(seen)} of {len(sources)}"

    return use


def _subscriptions(story: Story, controller: Client, token: str) -> None:
    """Show a Query subscription: a token must permit everything that it can return."""
    registry = story.servers.registry
    issue = story.authority.tokens.issue

    def querying(**permissions: tuple[str, ...]) -> str:
        allowed = {"query": Permissions(**permissions)}
        return issue(controller.model_copy(update={"permissions": allowed}), ["query"]).text

    answer = story.ask("read", "200", registry, f"{QUERY}/receivers", token)
    receivers = [each["id"] for each in json.loads(answer.body)]
    asked = {
        "resource_path": "/receivers",
        "params": {},
        "persist": True,
        "max_update_rate_ms": 100,
    }
    target = f"{QUERY}/subscriptions"
    story.ask(
        "subscribe, token may only read",
        FORBIDDEN,
        registry,
        target,
        querying(read=_ALL),
        method="POST",
        body=asked,
    )
    answer = story.ask("subscribe", "201", registry, target, token, method="POST", body=asked)
    href = urllib.parse.urlsplit(json.loads(answer.body)["ws_href"]).path
    only_one = querying(read=("receivers", f"receivers/{receivers[0]}"))
    every = f"101 {len(receivers)} receivers"
    story.connect("follow, token for one", FORBIDDEN, registry, href, only_one, _receivers)
    story.connect(
        "follow, token for any", every, registry, href, querying(read=("receivers/*",)), _receivers
    )


async def _receivers(socket: ClientConnection) -> str:
    return f"{len(json.loads(await socket.recv())['grain']['data'])} receivers"


def _rotation(story: Story, controller: Client, old: str) -> None:
    """Show changes of the Authorization Server's keys, announced and unannounced."""
    node, keys = story.servers.node, story.authority.keys
    myself = f"{NODE}/self"
    keys.rotate()
    announced = story.token(controller)
    story.ask("next key signs, known already", "200", node, myself, announced)
    story.ask("former key, still published", "200", node, myself, old)
    keys.replace()
    surprise = story.token(controller)
    story.ask("key that nobody has seen", "503", node, myself, surprise)
    story.settle(node, myself, surprise)
    story.ask("the same, after Retry-After", "200", node, myself, surprise)
    story.settle(node, myself, announced)
    story.ask("key that was withdrawn", "401 invalid_token", node, myself, announced)


def _expired(story: Story, client: Client) -> str:
    authority = story.authority
    earlier = TokenIssuer(
        authority.settings.issuer, authority.keys, lifetime=30, clock=lambda: time.time() - 120
    )
    return earlier.issue(client, client.scopes).text
