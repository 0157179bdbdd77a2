"""Connections that are kept under a name, to be made together later."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
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

    The file is for one Controller at a time: another one would write what it has read long ago.
    So it is read, and written, only while it is opened.

    Args:
        path: the file that keeps them; None for memory.
    """

    path: Path | None = None
    _kept: dict[str, Salvo] = field(default_factory=dict)
    _is_open: bool = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Have the file, and keep other Controllers away from it, until the block ends.

        Raises:
            nmos_auth.NmosAuthError: the file cannot be read, or another Controller has it.
        """
        if self.path is None:
            yield
            return
        with _locked(self.path):
            self._kept, self._is_open = _read(self.path), True
            try:
                yield
            finally:
                self._kept, self._is_open = {}, False

    def all(self) -> list[Salvo]:
        """Return them by name."""
        return [self._kept[name] for name in sorted(self._kept)]

    def get(self, name: str) -> Salvo | None:
        """Return one by its name."""
        return self._kept.get(name)

    def check(self, salvo: Salvo) -> None:
        """Check that a salvo could be kept.

        Raises:
            SalvosError: there is no room, no name, or no destination.
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

    def keep(self, salvo: Salvo) -> None:
        """Keep a salvo, in place of one of the same name.

        Raises:
            SalvosError: it cannot be kept, or the file cannot be written.
        """
        self.check(salvo)
        self._write({**self._kept, salvo.name: salvo})

    def remove(self, name: str) -> None:
        """Forget a salvo.

        Raises:
            SalvosError: the file cannot be written.
        """
        self._write({each: salvo for each, salvo in self._kept.items() if each != name})

    def _write(self, kept: dict[str, Salvo]) -> None:
        if self.path is not None:
            if not self._is_open:
                raise SalvosError("Salvos cannot be written while their file is not open.")
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
    if not isinstance(document, dict) or not all(map(_is_salvo, document.values())):
        # The first salvo that is kept would replace it.
        raise ConfigurationError(
            f"{_SETTING}: {path} is not a file of salvos; name another file, or move this one away"
        )
    return {
        name: Salvo(name, _connections(each), text(each.get("by")))
        for name, each in document.items()
    }


def _is_salvo(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("connections"), Mapping)


def _locked(path: Path) -> contextlib.ExitStack:
    # The lock is a file of its own, because the file of salvos is replaced with every change.
    lock = _file(path).beside(".lock")
    with contextlib.ExitStack() as held:
        try:
            descriptor = held.enter_context(lock.opened(os.O_RDWR | os.O_CREAT))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{_SETTING}: another Controller that runs keeps its salvos in {path}; end that"
                " one, or name another file for this one"
            ) from None
        except FileRefused:
            raise
        except OSError as error:
            raise ConfigurationError(
                f"{_SETTING}: {lock.path} cannot be locked: {error.strerror}; name a file in a"
                f" directory that user {os.geteuid()} may write"
            ) from None
        return held.pop_all()


def _file(path: Path) -> PrivateFile:
    return PrivateFile(path, setting=_SETTING, secret=False)


def _connections(each: Mapping[str, object]) -> dict[str, str | None]:
    given = each.get("connections")
    return {
        receiver: sender
        for receiver, sender in (given.items() if isinstance(given, Mapping) else ())
        if is_id(receiver) and (sender is None or is_id(sender))
    }
