"""The matrix: versions, Pythons as found, servers, frameworks. `nox -l` lists the sessions."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lowest", "newest"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
EXTRAS = "authority,completion,example,mdns,metrics,probe,redis"

# What runs an app, beside uvicorn, and what apps are made with, beside FastAPI and Starlette.
SERVERS = ["daphne", "granian", "gunicorn", "hypercorn", "uvicorn-worker", "uvloop", "wsproto"]
FRAMEWORKS = ["litestar", "quart"]

# What depends on other packages most: the wire, the edges, both halves' HTTP, and the examples.
TESTS = [
    "tests/contract",
    "tests/test_dependencies.py",
    "tests/test_testing.py",
    "tests/request",
    "tests/servers",
    "tests/trust",
    "tests/authority/test_authorization_code.py",
    "tests/client/test_presenting.py",
    "tests/operate/test_status.py",
    "tests/probe/test_reference_node.py",
    "tests/products",
]


def _tools() -> list[str]:
    """Return what the tests need beside the package, as pyproject.toml has it."""
    groups = nox.project.load_toml("pyproject.toml")["dependency-groups"]
    return [each for each in groups["test"] if not each.startswith("asgi-nmos-auth")]


def _test(session: nox.Session, *options: str) -> None:
    chosen = session.posargs or TESTS
    session.run("python", "-m", "pytest", "-q", "-m", "not slow", *options, *chosen)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The lowest version of everything that pyproject.toml allows, on the lowest Python."""
    session.install("--resolution", "lowest-direct", f".[{EXTRAS}]")
    frozen = session.run("uv", "pip", "freeze", silent=True) or ""
    kept = [line for line in frozen.splitlines() if "==" in line]
    session.install(*kept, *_tools())
    # Old versions warn of each other; what matters is that they work.
    _test(session, "-W", "ignore::DeprecationWarning")


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """The newest version of everything."""
    session.install("--upgrade", f".[{EXTRAS}]", *_tools())
    _test(session)


@nox.session
def servers(session: nox.Session) -> None:
    """The contract's table under each server, and a Node of several processes."""
    session.install(f".[{EXTRAS}]", *_tools(), *SERVERS)
    _slow(
        session,
        "tests/matrix/test_servers.py",
        "tests/matrix/test_sockets.py",
        "tests/matrix/test_workers.py",
    )


@nox.session
def frameworks(session: nox.Session) -> None:
    """The documentation's example for each framework."""
    session.install(f".[{EXTRAS}]", *_tools(), *FRAMEWORKS, "wsproto")
    _slow(session, "tests/matrix/test_frameworks.py")


def _slow(session: nox.Session, *paths: str) -> None:
    chosen = session.posargs or paths
    # What the session installs is there: nothing is skipped for want of it.
    required = {"ASGI_NMOS_AUTH_TEST_PEERS": "required"}
    session.run("python", "-m", "pytest", "-q", "-m", "slow", *chosen, env=required)
