"""Routes that look like those of NMOS APIs, but are not guarded because of where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nmos_auth.rules.paths import NMOS_ROOT

__all__ = ["unguarded_routes"]


def unguarded_routes(app: object, is_guarded: Callable[[object], bool]) -> Iterator[str]:
    """Return the paths of an app's routes that have a segment `x-nmos` after the first segment.

    Paths outside `/x-nmos` are the app's own, so that `include_router(router, prefix="/api")`, or
    `mount("/unit1", app)`, leaves the routes below without authorization. So does a mounted FastAPI
    app that sets a `root_path`: it removes that from the path, after the path was checked.

    Args:
        app: a Starlette or FastAPI app; the routes of other apps are not known.
        is_guarded: tells whether a mounted app has a middleware of its own.
    """
    for path in _paths(getattr(app, "routes", ()), "", is_guarded):
        segments = path.casefold().split("/")[1:]
        if NMOS_ROOT in segments[1:] and segments[0] != NMOS_ROOT:
            yield path


def _paths(
    routes: Iterable[object], prefix: str, is_guarded: Callable[[object], bool]
) -> Iterator[str]:
    for route in routes:
        # Newer versions of FastAPI keep an included router whole; older ones copy its routes.
        context = getattr(route, "include_context", None)
        path = f"{prefix}{getattr(route, 'path', '')}{getattr(context, 'prefix', '')}"
        router = getattr(route, "original_router", route)
        below = getattr(router, "routes", None)
        if below is None:
            yield path
        elif not is_guarded(app := getattr(route, "app", None)):
            yield from _paths(below, path, is_guarded)
            root = f"/{getattr(app, 'root_path', '').strip('/')}"
            if root != "/" and root.startswith(f"{path}/"):
                yield from _paths(below, root, is_guarded)
