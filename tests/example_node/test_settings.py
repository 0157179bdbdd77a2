"""The EXAMPLE_NODE_* variables and the computer's network interfaces."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from example_node import Settings
from example_node.clock import SystemClock
from example_node.description import Description
from example_node.interfaces import find_interfaces
from nmos_auth.settings import Discovery


def test_every_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each variable reaches its setting, lists as comma-separated names."""
    certificate, key = tmp_path / "node.pem", tmp_path / "node.key"
    certificate.touch()
    key.touch()
    variables = {
        "HOST_NAME": "camera-1.example.com",
        "PORT": "8080",
        "LISTEN": "0.0.0.0",  # noqa: S104 - nothing listens in this test
        "PROTOCOL": "http",
        "ADVERTISED_URL": "https://Cameras.example.com/",
        "TLS_CERTIFICATE": f"{certificate}, {certificate}",
        "TLS_KEY": f"{key}, {key}",
        "HSTS_MAX_AGE": "0",
        "LABEL": "Camera 1",
        "SEED": "rack 3",
        "INTERFACES": "eth0, eth1",
        "ENFORCE_CAPABILITIES": "false",
        "EVENT_INTERVAL": "0.5",
        "UTC_OFFSET": "38",
        "REGISTRIES": "https://registry-1.example.com:8235/, https://registry-2.example.com",
        "REGISTRY_DISCOVERY": "both",
        "HEARTBEAT_INTERVAL": "4.5",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"EXAMPLE_NODE_{name}", value)
    assert Settings().model_dump() == {
        "host_name": "camera-1.example.com",
        "port": 8080,
        "listen": "0.0.0.0",  # noqa: S104 - nothing listens in this test
        "protocol": "http",
        "advertised_url": "https://cameras.example.com:443",
        "tls_certificate": (certificate, certificate),
        "tls_key": (key, key),
        "hsts_max_age": 0,
        "label": "Camera 1",
        "seed": "rack 3",
        "interfaces": ("eth0", "eth1"),
        "enforce_capabilities": False,
        "event_interval": 0.5,
        "utc_offset": 38,
        "registries": ("https://registry-1.example.com:8235", "https://registry-2.example.com"),
        "registry_discovery": Discovery.BOTH,
        "heartbeat_interval": 4.5,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("PROTOCOL", "ftp"),
        ("HOST_NAME", "node.example.com/x"),
        ("ADVERTISED_URL", "node.example.com"),
        ("ADVERTISED_URL", "https://node.example.com/x"),
        ("ADVERTISED_URL", "https://node.example.com:0"),
        ("ADVERTISED_URL", "https://user@node.example.com"),
        ("INTERFACES", "a,b,c"),
        ("TLS_KEY", "/nowhere/node.key"),
        ("HSTS_MAX_AGE", "-1"),
        ("EVENT_INTERVAL", "0"),
        ("REGISTRIES", "registry.example.com"),
        ("REGISTRIES", "https://registry.example.com/x-nmos"),
        ("REGISTRIES", "https://user@registry.example.com"),
        ("REGISTRIES", "https://registry.example.com?x"),
        ("REGISTRY_DISCOVERY", "sometimes"),
        ("HEARTBEAT_INTERVAL", "0"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A value that cannot be used stops the Node, and the message names the setting."""
    monkeypatch.setenv(f"EXAMPLE_NODE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_an_interface_is_what_the_computer_has() -> None:
    """Name, MAC address with hyphens and IPv4 address are those of the computer."""
    (loopback,) = find_interfaces(["lo"])
    assert (loopback.name, loopback.mac, loopback.address) == (
        "lo",
        "00-00-00-00-00-00",
        "127.0.0.1",
    )


def test_an_unknown_interface_is_refused_by_name() -> None:
    """The error says which interface does not exist."""
    with pytest.raises(OSError, match="'nosuch0'"):
        find_interfaces(["nosuch0"])


def test_some_interface_is_always_found() -> None:
    """Without names there is one interface with an address."""
    (interface,) = find_interfaces([])
    assert interface.address


def _ids(settings: Settings) -> list[str]:
    description = Description(settings, SystemClock(), find_interfaces(["lo"]), authorization=True)
    resources = description.resources()
    collections = (resources.devices, resources.sources, resources.flows)
    ids = [resources.node.id, *resources.senders, *resources.receivers]
    return ids + [each for collection in collections for each in collection]


def test_ids_stay_the_same() -> None:
    """A restart gives every resource the id it had, and all ids differ."""
    ids = _ids(Settings(host_name="a.example.com"))
    assert ids == _ids(Settings(host_name="a.example.com", label="Another label", port=8080))
    assert len(set(ids)) == len(ids)


def test_ids_differ_between_nodes() -> None:
    """Nodes of other names or seeds have other ids, and a seed outlives a change of name."""
    named_a = _ids(Settings(host_name="a.example.com"))
    named_b = _ids(Settings(host_name="b.example.com"))
    seeded = _ids(Settings(host_name="a.example.com", seed="rack 3"))
    assert not set(named_a) & set(named_b)
    assert not set(named_a) & set(seeded)
    assert seeded == _ids(Settings(host_name="b.example.com", seed="rack 3"))
