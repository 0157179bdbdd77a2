"""Resources to register, and the paths of the Registry's APIs."""

import copy
from typing import Any

import httpx2

REGISTRATION = "/x-nmos/registration/v1.3"
QUERY = "/x-nmos/query/v1.3"
HOST = "registry.example.com"

COLLECTIONS = ("nodes", "devices", "sources", "flows", "senders", "receivers")


def uuid(number: int) -> str:
    """Return a UUID of the tests' own."""
    return f"{number:08x}-0000-4000-8000-000000000000"


NODE_ID = uuid(1)
DEVICE_ID = uuid(2)

_CORE = {"version": "10:0", "label": "", "description": "", "tags": {}}
_RESOURCES: dict[str, dict[str, Any]] = {
    "node": {
        "id": NODE_ID,
        "href": "https://node.example.com:8443/",
        "caps": {},
        "api": {
            "versions": ["v1.3"],
            "endpoints": [{"host": "node.example.com", "port": 8443, "protocol": "https"}],
        },
        "services": [],
        "clocks": [
            {"name": "clk0", "ref_type": "internal"},
            {
                "name": "clk1",
                "ref_type": "ptp",
                "traceable": True,
                "version": "IEEE1588-2008",
                "gmid": "ec-46-70-ff-fe-00-ce-de",
                "locked": True,
            },
        ],
        "interfaces": [
            {"name": "eno1", "port_id": "6c-3b-e5-14-48-7f", "chassis_id": None},
        ],
    },
    "device": {
        "id": DEVICE_ID,
        "type": "urn:x-nmos:device:generic",
        "node_id": NODE_ID,
        "senders": [],
        "receivers": [],
        "controls": [],
    },
    "source": {
        "id": uuid(3),
        "caps": {},
        "device_id": DEVICE_ID,
        "parents": [],
        "clock_name": "clk0",
        "format": "urn:x-nmos:format:audio",
        "channels": [{"label": "left", "symbol": "L"}],
    },
    "flow": {
        "id": uuid(4),
        "source_id": uuid(3),
        "device_id": DEVICE_ID,
        "parents": [],
        "format": "urn:x-nmos:format:audio",
        "media_type": "audio/L24",
        "sample_rate": {"numerator": 48000},
        "bit_depth": 24,
    },
    "sender": {
        "id": uuid(5),
        "flow_id": uuid(4),
        "transport": "urn:x-nmos:transport:rtp.mcast",
        "device_id": DEVICE_ID,
        "manifest_href": None,
        "interface_bindings": ["eno1"],
        "subscription": {"active": False, "receiver_id": None},
    },
    "receiver": {
        "id": uuid(6),
        "format": "urn:x-nmos:format:audio",
        "caps": {"media_types": ["audio/L24"]},
        "transport": "urn:x-nmos:transport:rtp",
        "device_id": DEVICE_ID,
        "interface_bindings": ["eno1"],
        "subscription": {"active": False, "sender_id": None},
    },
}
TYPES = tuple(_RESOURCES)
"""The types of resources, parents first."""


def resource(kind: str, **changes: object) -> dict[str, Any]:
    """Return a resource of a type, with changes; attributes given as None are left out."""
    whole = {**_CORE, **copy.deepcopy(_RESOURCES[kind]), **changes}
    return {
        name: value for name, value in whole.items() if value is not None or name not in changes
    }


def bearer(token: str) -> dict[str, str]:
    """Return the headers of a request with this token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


async def post(
    client: httpx2.AsyncClient, kind: str, token: str = "", **changes: object
) -> httpx2.Response:
    """Register a resource."""
    body = {"type": kind, "data": resource(kind, **changes)}
    return await client.post(f"{REGISTRATION}/resource", json=body, headers=bearer(token))


async def register_all(client: httpx2.AsyncClient, token: str = "") -> None:
    """Register one resource of each type."""
    for kind in TYPES:
        response = await post(client, kind, token)
        assert response.status_code in {200, 201}, response.text
