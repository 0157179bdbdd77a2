"""Metrics through the OpenTelemetry API, which are only read when they are collected.

It requires the extra `metrics`. The SDK of OpenTelemetry, and its configuration, decide where they
go; without an SDK they go nowhere and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from nmos_auth.errors import MissingExtra
from nmos_auth.operate.layers import middleware_of
from nmos_auth.operate.status import Status, status_of

with MissingExtra.named("metrics", "opentelemetry"):
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        Observation,
        get_meter_provider,
    )

if TYPE_CHECKING:
    from nmos_auth.client import AuthorizationClient

__all__ = ["instrument"]

_Observe = Callable[[Status], Iterator[Observation]]


def instrument(
    app: object,
    *,
    client: AuthorizationClient | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Offer the metrics of an app's middleware to OpenTelemetry.

    Labels come from closed sets: outcomes, reasons, the specifications' API names, methods, and the
    trusted issuers.

    Args:
        app: the app to which NmosAuthMiddleware was added, or the middleware around an app.
        client: the client half, to show the remaining seconds of its tokens too.
        meter_provider: used instead of the global one.

        >>> app.add_middleware(NmosAuthMiddleware)  # doctest: +SKIP
        >>> instrument(app)  # doctest: +SKIP
    """
    meter = (meter_provider or get_meter_provider()).get_meter("nmos_auth")

    def status() -> Status | None:
        middleware = middleware_of(app)
        return None if middleware is None else status_of(middleware.resource_server, client)

    def reading(observe: _Observe) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            now = status()
            return () if now is None else observe(now)

        return read

    _create_counters(meter, reading)
    _create_gauges(meter, reading)


_Reading = Callable[[_Observe], Callable[[CallbackOptions], Iterable[Observation]]]


def _create_counters(meter: Meter, reading: _Reading) -> None:
    counters: tuple[tuple[str, str, str, _Observe], ...] = (
        ("nmos_auth.decisions", "{request}", "Requests authorized and rejected", _decisions),
        ("nmos_auth.audit.lost", "{line}", "Audit lines lost for a log not written", _lost),
        ("nmos_auth.audit.limited", "{line}", "Refusals without an audit line", _limited),
    )
    for name, unit, description, observe in counters:
        meter.create_observable_counter(name, [reading(observe)], unit, description)


def _create_gauges(meter: Meter, reading: _Reading) -> None:
    gauges: tuple[tuple[str, str, str, _Observe], ...] = (
        ("nmos_auth.ready", "", "Whether tokens can be verified", _ready),
        ("nmos_auth.keys", "{key}", "Keys held of an issuer", _keys),
        ("nmos_auth.keys.age", "s", "Seconds since an issuer's keys were fetched", _age),
        ("nmos_auth.keys.failures", "{fetch}", "Fetches that failed in a row", _failures),
        ("nmos_auth.clock.offset", "s", "How far an issuer's clock is ahead", _offset),
        ("nmos_auth.audit.waiting", "{line}", "Audit lines not written yet", _waiting),
        ("nmos_auth.client.token.remaining", "s", "Seconds a token has left", _remaining),
    )
    for name, unit, description, observe in gauges:
        meter.create_observable_gauge(name, [reading(observe)], unit, description)


def _decisions(status: Status) -> Iterator[Observation]:
    if status.audit is not None:
        for label, count in status.audit.decisions.items():
            yield Observation(count, label._asdict())


def _lost(status: Status) -> Iterator[Observation]:
    if status.audit is not None:
        yield Observation(status.audit.lost)


def _limited(status: Status) -> Iterator[Observation]:
    if status.audit is not None:
        yield Observation(status.audit.limited)


def _waiting(status: Status) -> Iterator[Observation]:
    if status.audit is not None:
        yield Observation(status.audit.waiting)


def _ready(status: Status) -> Iterator[Observation]:
    yield Observation(int(status.ready))


def _keys(status: Status) -> Iterator[Observation]:
    for each in status.issuers:
        yield Observation(len(each.keys), {"issuer": each.url})


def _age(status: Status) -> Iterator[Observation]:
    for each in status.issuers:
        if each.since_fetch is not None:
            yield Observation(each.since_fetch, {"issuer": each.url})


def _failures(status: Status) -> Iterator[Observation]:
    for each in status.issuers:
        yield Observation(each.failures, {"issuer": each.url})


def _offset(status: Status) -> Iterator[Observation]:
    for each in status.issuers:
        if each.clock_offset is not None:
            yield Observation(each.clock_offset, {"issuer": each.url})


def _remaining(status: Status) -> Iterator[Observation]:
    for each in status.tokens:
        yield Observation(each.remaining or 0.0, {"scope": each.scope})
