"""Refusals on their way out of an app, in whatever they come wrapped."""

from __future__ import annotations

from nmos_auth.errors import AuthorizationError

__all__ = ["refusal_in", "without_frames", "without_refusals"]


def without_frames(refusal: AuthorizationError) -> AuthorizationError:
    """Return a refusal that keeps nothing of where it was raised.

    A traceback, and that of the error before, keeps the frames that it passed, and the first of
    those keep the refusal: a circle for the garbage collector, and 2 microseconds of 13.
    """
    refusal.__traceback__ = refusal.__context__ = None
    return refusal


def refusal_in(error: BaseException | None) -> AuthorizationError | None:
    """Return the refusal that an error is, or the first of those that a group holds.

    Task groups raise what their tasks raised in an ExceptionGroup, however deep.
    """
    if isinstance(error, AuthorizationError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if (refusal := refusal_in(each)) is not None:
                return refusal
    return None


def without_refusals(error: BaseException) -> BaseException | None:
    """Return what is left of an error without the refusals in it, or None."""
    if isinstance(error, AuthorizationError):
        return None
    if isinstance(error, BaseExceptionGroup):
        return error.split(AuthorizationError)[1]
    return error
