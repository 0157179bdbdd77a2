"""The parts of an app: the middlewares around it and the apps that are mounted in it."""

from __future__ import annotations

from collections.abc import Iterator

from nmos_auth.middleware import NmosAuthMiddleware

__all__ = ["layers_of", "middleware_of"]


def layers_of(app: object) -> Iterator[object]:
    """Yield an app, the apps that it wraps (as `app`), and the apps that are mounted in it."""
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, "app", None), getattr(each, "middleware_stack", None)]
        waiting += [getattr(route, "app", None) for route in getattr(each, "routes", None) or ()]


def middleware_of(app: object) -> NmosAuthMiddleware | None:
    """Return the NmosAuthMiddleware of an app, once it has been started; None before.

    Args:
        app: an ASGI app, or a middleware around it.
    """
    layers = (each for each in layers_of(app) if isinstance(each, NmosAuthMiddleware))
    return next(layers, None)
