"""What is read of each resource of IS-04 v1.3.

A Registry holds what Nodes say of themselves, and whoever may register may say anything: what does
not have the required shape is left out, and texts are cut and made printable.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Collection = Literal["nodes", "devices", "sources", "flows", "senders", "receivers"]
COLLECTIONS: tuple[Collection, ...] = (
    *("nodes", "devices", "sources"),
    *("flows", "senders", "receivers"),
)

# resource_core.json of IS-04: the pattern of ids. They stand in paths, so nothing else will do.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LONGEST_TEXT = 200
_LONGEST_URL = 2000
_MOST_TAGS = 50
_MOST_ITEMS = 50

Data = Mapping[str, object]
Tags = Mapping[str, tuple[str, ...]]
ResourceT = TypeVar("ResourceT", bound="Resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What all resources have (IS-04 "APIs: Common Keys")."""

    id: str
    version: str
    label: str
    description: str
    tags: Tags

    @property
    def name(self) -> str:
        """What it is called: its label, or its id where it has none."""
        return self.label or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Resource):
    """A Node, and the hosts at which its Node API is."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """Where a Device is controlled; `authorization` says whether that requires a token.

    Some Nodes write a type with a slash at its end; here it has none.
    """

    type: str
    href: str
    authorization: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", self.type.rstrip("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Resource):
    """A Device."""

    node_id: str
    type: str
    controls: tuple[Control, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Resource):
    """A Source."""

    device_id: str
    format: str
    event_type: str
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Resource):
    """A Flow; `data` is all that was said of it."""

    source_id: str
    format: str
    media_type: str
    data: Data = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender(Resource):
    """A Sender."""

    device_id: str
    flow_id: str | None
    transport: str
    manifest_href: str | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver(Resource):
    """A Receiver."""

    device_id: str
    format: str
    transport: str
    caps: Data = field(repr=False)
    active: bool
    sender_id: str | None

    @property
    def connected_to(self) -> str | None:
        """The Sender that it receives from; None where there is none, or none of NMOS."""
        return self.sender_id if self.active else None

    @property
    def source(self) -> str:
        """What it receives: a Sender's id, `-` for what is not a Sender of NMOS, "" for nothing."""
        return (self.sender_id or "-") if self.active else ""


def is_id(value: object) -> bool:
    """Tell whether a value is the id of a resource."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def text(value: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a text as it may be shown: cut, and without what moves or hides other text."""
    if not isinstance(value, str):
        return ""
    shown = "".join(each if each.isprintable() else " " for each in value[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def read(collection: Collection, data: object) -> Resource | None:
    """Read a resource; None where it does not have the shape of one."""
    if not isinstance(data, Mapping) or not is_id(data.get("id")):
        return None
    return _READERS[collection](data)


def short(name: str) -> str:
    """Return the last part of a URN: `video` of urn:x-nmos:format:video."""
    return name.rpartition(":")[2]


def _core(data: Data) -> dict[str, object]:
    return {
        "id": data["id"],
        "version": text(data.get("version"), 40),
        "label": text(data.get("label")),
        "description": text(data.get("description")),
        "tags": _tags(data.get("tags")),
    }


def _tags(value: object) -> Tags:
    if not isinstance(value, Mapping):
        return {}
    return {
        name: tuple(text(each) for each in values[:_MOST_ITEMS])
        for name, values in list(value.items())[:_MOST_TAGS]
        if isinstance(values, list)
    }


def _make(kind: Callable[..., ResourceT], said: Data, **more: object) -> ResourceT:
    return kind(**_core(said), **more)


def _id(value: object) -> str:
    return value if isinstance(value, str) and is_id(value) else ""


def _items(value: object) -> Sequence[Data]:
    if not isinstance(value, list):
        return ()
    return [each for each in value[:_MOST_ITEMS] if isinstance(each, Mapping)]


def _url(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_URL else ""


def _subscription(data: Data) -> Data:
    value = data.get("subscription")
    return value if isinstance(value, Mapping) else {}


def _node(data: Data) -> Node:
    api = data.get("api")
    endpoints = _items(api.get("endpoints")) if isinstance(api, Mapping) else ()
    hosts = dict.fromkeys(text(each.get("host")) for each in endpoints)
    return _make(Node, data, hosts=tuple(hosts))


def _device(data: Data) -> Device:
    controls = (
        Control(text(each.get("type")), _url(each.get("href")), each.get("authorization") is True)
        for each in _items(data.get("controls"))
    )
    return _make(
        Device,
        data,
        node_id=_id(data.get("node_id")),
        type=text(data.get("type")),
        controls=tuple(controls),
    )


def _source(data: Data) -> Source:
    return _make(
        Source,
        data,
        device_id=_id(data.get("device_id")),
        format=text(data.get("format")),
        event_type=text(data.get("event_type")),
        channels=len(_items(data.get("channels"))),
    )


def _flow(data: Data) -> Flow:
    return _make(
        Flow,
        data,
        source_id=_id(data.get("source_id")),
        format=text(data.get("format")),
        media_type=text(data.get("media_type")),
        data=data,
    )


def _sender(data: Data) -> Sender:
    return _make(
        Sender,
        data,
        device_id=_id(data.get("device_id")),
        flow_id=_id(data.get("flow_id")) or None,
        transport=text(data.get("transport")),
        manifest_href=_url(data.get("manifest_href")) or None,
        active=_subscription(data).get("active") is True,
    )


def _receiver(data: Data) -> Receiver:
    caps = data.get("caps")
    return _make(
        Receiver,
        data,
        device_id=_id(data.get("device_id")),
        format=text(data.get("format")),
        transport=text(data.get("transport")),
        caps=caps if isinstance(caps, Mapping) else {},
        active=_subscription(data).get("active") is True,
        sender_id=_id(_subscription(data).get("sender_id")) or None,
    )


_READERS: Mapping[Collection, Callable[[Data], Resource]] = {
    "nodes": _node,
    "devices": _device,
    "sources": _source,
    "flows": _flow,
    "senders": _sender,
    "receivers": _receiver,
}
