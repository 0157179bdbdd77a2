"""Real Redis servers on loopback, from Debian's `redis-server`; Sentinel and a cluster of them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from redis import Redis

from tests.support.peers import unavailable
from tests.support.servers import free_port

__all__ = ["redis_cluster", "redis_sentinel", "redis_server"]

_SLOTS = 16384
_CLUSTER = 3
_READY = ("Ready to accept connections", "Sentinel ID is")


@contextlib.contextmanager
def redis_server(
    directory: Path, *, port: int = 0, options: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run one until the block ends, and yield its URL.

    It keeps nothing on disk.

    Args:
        directory: its working directory.
        port: where it listens; a free port unless one is given.
        options: more of its own.
    """
    port = port or free_port()
    every = {"save": "", "appendonly": "no", "repl-diskless-sync-delay": "0", **(options or {})}
    with _running(directory, port, every):
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def redis_sentinel(directory: Path, primary: int, *, name: str) -> Iterator[int]:
    """Run a Sentinel until the block ends; half a second of silence is a failure to it.

    Args:
        directory: its working directory.
        primary: the port of the server that it looks after.
        name: what the Sentinel calls it.

    Returns:
        The Sentinel's port.
    """
    port = free_port()
    configuration = directory / f"sentinel-{port}.conf"
    configuration.write_text(
        f"sentinel monitor {name} 127.0.0.1 {primary} 1\n"
        f"sentinel down-after-milliseconds {name} 500\n"
        f"sentinel failover-timeout {name} 2000\n"
    )
    with _running(directory, port, {}, str(configuration), "--sentinel"):
        yield port


@contextlib.contextmanager
def redis_cluster(directory: Path) -> Iterator[str]:
    """Run a cluster of three primaries until the block ends, and yield the URL of one of them."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(_CLUSTER):
            port, bus = free_port(), free_port()
            options = {
                "cluster-enabled": "yes",
                "cluster-port": str(bus),
                "cluster-config-file": f"nodes-{number}.conf",
            }
            stack.enter_context(redis_server(directory, port=port, options=options))
            ports.append((port, bus))
        clients = [stack.enter_context(Redis("127.0.0.1", port)) for port, _ in ports]
        for number, client in enumerate(clients):
            first, end = (_SLOTS * each // _CLUSTER for each in (number, number + 1))
            client.cluster("ADDSLOTSRANGE", first, end - 1)
            for port, bus in ports:
                client.cluster("MEET", "127.0.0.1", port, bus)
        deadline = time.monotonic() + 30
        while not all(map(_is_whole, clients)):
            assert time.monotonic() < deadline, "the cluster did not come together"
            time.sleep(0.05)  # a server tells nobody that it has heard of all others
        yield f"redis://127.0.0.1:{ports[0][0]}"


def _is_whole(client: Redis) -> bool:
    state: dict[str, str] = client.cluster("INFO")
    return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(_CLUSTER)


@contextlib.contextmanager
def _running(
    directory: Path, port: int, options: Mapping[str, str], *arguments: str
) -> Iterator[None]:
    program = shutil.which("redis-server")
    if program is None:
        unavailable("redis-server is not installed")
    every = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(directory),
        "logfile": "",
        "daemonize": "no",
        **options,
    }
    command = [program, *arguments[:1]]
    command += [part for name, value in every.items() for part in (f"--{name}", value)]
    command += arguments[1:]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            started = any(ready in line for line in lines for ready in _READY)
            assert started, "it did not start"
            yield
        finally:
            process.terminate()
            process.communicate(timeout=10)
