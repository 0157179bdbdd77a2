"""What an app is made of: the middlewares round it and the apps mounted in it."""

from __future__ import annotations

from collections.abc import Iterator

from nmos_auth.middleware import NmosAuthMiddleware

__all__ = ["layers_of", "middleware_of"]


def layers_of(app: object) -> Iterator[object]:
    """Yield an app, what it wraps (`app`, as middlewares name it) and what is mounted in it."""
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
        app: an ASGI app, or what is wrapped round it.
    """
    layers = (each for each in layers_of(app) if isinstance(each, NmosAuthMiddleware))
    return next(layers, None)
