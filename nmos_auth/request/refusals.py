"""Refusals that an app raises, also within groups of exceptions."""

from __future__ import annotations

from nmos_auth.errors import AuthorizationError

__all__ = ["refusal_in", "without_frames", "without_refusals"]


def without_frames(refusal: AuthorizationError) -> AuthorizationError:
    """Return a refusal without its traceback and the error before it.

    Tracebacks keep the frames that the refusal passed, and the first of those frames keep the
    refusal. The garbage collector would have to break this cycle: 2 microseconds of 13.
    """
    refusal.__traceback__ = refusal.__context__ = None
    return refusal


def refusal_in(error: BaseException | None) -> AuthorizationError | None:
    """Return the error if it is a refusal, or the first refusal in a group, or None.

    Task groups raise the errors of their tasks in an ExceptionGroup, which may hold other groups.
    """
    if isinstance(error, AuthorizationError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if (refusal := refusal_in(each)) is not None:
                return refusal
    return None


def without_refusals(error: BaseException) -> BaseException | None:
    """Return an error without the refusals in it, or None if nothing else is in it."""
    if isinstance(error, AuthorizationError):
        return None
    if isinstance(error, BaseExceptionGroup):
        return error.split(AuthorizationError)[1]
    return error
