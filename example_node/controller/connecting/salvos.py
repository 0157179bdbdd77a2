"""Connections that are kept under a name, to be made together later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from example_node.controller.plant.resources import is_id, text
from nmos_auth import ConfigurationError
from nmos_auth.servers.private_files import FileRefused, PrivateFile

MOST_SALVOS, MOST_CONNECTIONS = 500, 2000
LONGEST_NAME = 80
_SETTING = "EXAMPLE_CONTROLLER_SALVOS"


@dataclass(frozen=True)
class Salvo:
    """Connections under a name.

    Attributes:
        name: for people.
        connections: for each Receiver the Sender, or None for none; ids.
        by: who kept it.
    """

    name: str
    connections: Mapping[str, str | None]
    by: str = ""


class SalvosError(Exception):
    """Salvos cannot be kept; the message says why."""


@dataclass
class Salvos:
    """All salvos of this Controller; all its users see them, and run them with their own tokens.

    Args:
        path: the file that keeps them; None for memory.

    Raises:
        nmos_auth.NmosAuthError: the file cannot be read.
    """

    path: Path | None = None
    _kept: dict[str, Salvo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None:
            self._kept = _read(self.path)

    def all(self) -> list[Salvo]:
        """Return them by name."""
        return [self._kept[name] for name in sorted(self._kept)]

    def get(self, name: str) -> Salvo | None:
        """Return one by its name."""
        return self._kept.get(name)

    def keep(self, salvo: Salvo) -> None:
        """Keep a salvo, in place of one of the same name.

        Raises:
            SalvosError: there is no room, no name, or the file cannot be written.
        """
        if not salvo.name.strip():
            raise SalvosError("A salvo needs a name.")
        if not salvo.connections:
            raise SalvosError("A salvo needs at least one destination.")
        if len(salvo.connections) > MOST_CONNECTIONS:
            raise SalvosError(
                f"A salvo has at most {MOST_CONNECTIONS} destinations, and these are"
                f" {len(salvo.connections)}."
            )
        if salvo.name not in self._kept and len(self._kept) >= MOST_SALVOS:
            raise SalvosError(f"There are {MOST_SALVOS} salvos already. Remove one first.")
        self._write({**self._kept, salvo.name: salvo})

    def remove(self, name: str) -> None:
        """Forget a salvo.

        Raises:
            SalvosError: the file cannot be written.
        """
        self._write({each: salvo for each, salvo in self._kept.items() if each != name})

    def _write(self, kept: dict[str, Salvo]) -> None:
        if self.path is not None:
            document = {
                salvo.name: {"by": salvo.by, "connections": dict(salvo.connections)}
                for salvo in kept.values()
            }
            try:
                _file(self.path).write(json.dumps(document, indent=1).encode())
            except (OSError, FileRefused) as error:
                raise SalvosError(f"Salvos cannot be written: {error}") from None
        self._kept = kept


def _read(path: Path) -> dict[str, Salvo]:
    try:
        document = json.loads(_file(path).read())
    except FileNotFoundError:
        return {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{_SETTING}: {path} is not a file of salvos; move it away")
    return {
        name: Salvo(name, _connections(each), text(each.get("by")))
        for name, each in document.items()
        if isinstance(each, Mapping)
    }


def _file(path: Path) -> PrivateFile:
    return PrivateFile(path, setting=_SETTING, secret=False)


def _connections(each: Mapping[str, object]) -> dict[str, str | None]:
    given = each.get("connections")
    return {
        receiver: sender
        for receiver, sender in (given.items() if isinstance(given, Mapping) else ())
        if is_id(receiver) and (sender is None or is_id(sender))
    }
