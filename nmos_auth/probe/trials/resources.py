"""What the resources of a Node API say of authorization, which tells Controllers what to send."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Force, Suite, bcp_003_02, is_04
from nmos_auth.probe.trials.trial import Outcome, Trial
from nmos_auth.probe.wire import parsed

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["RESOURCES"]

_MANIFEST = "Node Manifest Href Authorization"
_TRANSPORT_FILE = re.compile(
    r"/x-nmos/connection/v[0-9]+\.[0-9]+/single/senders/([0-9a-f-]{36})/transportfile/?"
)
_MOST = 50
_UNTOLD = "Controllers send no token where one is required, and are refused."

Member = Mapping[str, object]


async def _read(probe: Probe, api: Api, path: str) -> list[Member]:
    """Return the resources at a path: one or a list of them."""
    reply = await probe.ask("GET", f"{api.base}/{path}", probe.token_for(api.name))
    return _members([parsed(reply.body)] if path == "self" else parsed(reply.body))


def _members(listed: object) -> list[Member]:
    entries = listed if isinstance(listed, list) else []
    return [each for each in entries[:_MOST] if isinstance(each, dict)]


def _told(api: Api, entries: Iterable[Member], what: str) -> Outcome:
    if tuple(map(int, api.base.rpartition("/v")[2].split("."))) < (1, 3):
        return Verdict.INAPPLICABLE, "`authorization` is of IS-04 v1.3"
    said = [each.get("authorization") is True for each in entries]
    if not said:
        return Verdict.INAPPLICABLE, f"the Node lists no {what}"
    came = f"`authorization` is true in {sum(said)} of {len(said)} {what}"
    return (Verdict.PASS if all(said) else Verdict.FAIL), came


async def _endpoints(probe: Probe, api: Api) -> Outcome:
    offered = [each.get("api") for each in await _read(probe, api, "self")]
    endpoints = [each.get("endpoints") for each in offered if isinstance(each, dict)]
    return _told(api, [each for listed in endpoints for each in _members(listed)], "endpoints")


async def _controls(probe: Probe, api: Api) -> Outcome:
    listed = [each.get("controls") for each in await _read(probe, api, "devices")]
    controls = [each for entries in listed for each in _members(entries)]
    return _told(
        api, [each for each in controls if "/x-nmos/" in str(each.get("href"))], "controls"
    )


async def _manifests(probe: Probe, api: Api) -> list[tuple[str, str]]:
    """Return the id of each Sender that has a manifest, and the path of that."""
    senders = [
        (str(each.get("id")), each.get("manifest_href"))
        for each in await _read(probe, api, "senders")
    ]
    return [(name, _path(href)) for name, href in senders if isinstance(href, str)]


def _path(href: str) -> str:
    try:
        return urlsplit(href).path
    except ValueError:
        return ""


async def _places(probe: Probe, api: Api) -> Outcome:
    manifests = await _manifests(probe, api)
    if not manifests or probe.device.api("connection") is None:
        return Verdict.INAPPLICABLE, "no Sender of IS-05 has a manifest"
    found = [(name, _TRANSPORT_FILE.fullmatch(path)) for name, path in manifests]
    right = sum(match is not None and match[1] == name for name, match in found)
    came = f"{right} of {len(found)} Senders name their transport file"
    return (Verdict.PASS if right == len(found) else Verdict.FAIL), came


async def _without_a_token(probe: Probe, api: Api) -> Outcome:
    paths = [path for _, path in await _manifests(probe, api) if _TRANSPORT_FILE.fullmatch(path)]
    if not paths:
        return Verdict.INAPPLICABLE, "no Sender names its transport file"
    statuses = {(await probe.ask("GET", path)).status for path in paths}
    came = "/".join(map(str, sorted(statuses)))
    return (Verdict.PASS if statuses <= {401} else Verdict.FAIL), came


RESOURCES = (
    Trial(
        "resources-endpoints",
        Suite.RESOURCES,
        "`authorization` of the endpoints in `self`",
        is_04("node.json", "`authorization` says whether an endpoint requires it", Force.STATED),
        _UNTOLD,
        _endpoints,
        api="node",
        path="self",
    ),
    Trial(
        "resources-controls",
        Suite.RESOURCES,
        "`authorization` of the NMOS APIs among the controls of Devices",
        is_04("device.json", "`authorization` says whether a control requires it", Force.STATED),
        _UNTOLD,
        _controls,
        api="node",
        path="devices",
    ),
    Trial(
        "resources-manifest",
        Suite.RESOURCES,
        "`manifest_href` of Senders",
        bcp_003_02(_MANIFEST, "`manifest_href` is the `transportfile` of IS-05", Force.SHOULD),
        "Controllers cannot tell whether a manifest requires a token.",
        _places,
        api="node",
        path="senders",
    ),
    Trial(
        "resources-manifest-none",
        Suite.RESOURCES,
        "every `manifest_href` that is a transport file, without a token",
        bcp_003_02("Transport File Authorization", "a transport file is checked as any other path"),
        "Anybody on the network can learn where the media are, and receive them.",
        _without_a_token,
        api="node",
        path="senders",
    ),
)
