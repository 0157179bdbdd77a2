"""What a probe registers in a Registry and subscribes to, and the tokens for it."""

from __future__ import annotations

from collections.abc import Mapping

from nmos_auth.probe.mint import Mint

__all__ = ["OTHER", "OWNER", "device", "everything", "node", "subscribing", "subscription"]

OWNER = "nmos-auth-probe-owner"
OTHER = "nmos-auth-probe-other"


def everything(mint: Mint, **changes: object) -> str:
    """Sign a token that may read and write all of an API."""
    return mint.token(**{"x_nmos": {"read": ["*"], "write": ["*"]}, **changes})


def node(places: Mapping[str, str], name: str = "node") -> object:
    """Return a Node to register, which is valid in all versions of IS-04."""
    return {
        "type": "node",
        "data": {
            **_core(places[name]),
            "href": "http://probe.invalid/",
            "hostname": "probe.invalid",
            "caps": {},
            "api": {"versions": [places["version"]], "endpoints": []},
            "services": [],
            "clocks": [],
            "interfaces": [],
        },
    }


def device(places: Mapping[str, str], name: str = "device", parent: str = "node") -> object:
    """Return a Device to register below a Node."""
    return {
        "type": "device",
        "data": {
            **_core(places[name]),
            "type": "urn:x-nmos:device:generic",
            "node_id": places[parent],
            "senders": [],
            "receivers": [],
            "controls": [],
        },
    }


def _core(identifier: str) -> dict[str, object]:
    # The version never changes: a Registry refuses one that is earlier than its own.
    version = "1700000000:0"
    name = "nmos-auth probe"
    return {"id": identifier, "version": version, "label": name, "description": name, "tags": {}}


def subscription(_: Mapping[str, str]) -> object:
    """Return a subscription to all Nodes, which ends by itself."""
    return {"max_update_rate_ms": 100, "resource_path": "/nodes", "params": {}, "persist": False}


def subscribing(mint: Mint) -> str:
    """Sign a token that may subscribe and read everything."""
    return mint.token(x_nmos={"read": ["*"], "write": ["subscriptions"]})
