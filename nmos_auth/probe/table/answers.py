"""What is public, and what browsers need."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Suite, is_10, rfc
from nmos_auth.probe.table.statuses import PERMITTED

__all__ = ["ANSWERS"]

_PATHS = "Behaviour: Resource Servers, Path Validation"
_PUBLIC = is_10(_PATHS, "`/` and `/x-nmos` may always be read")

ANSWERS = (
    *(
        Row(
            f"public-{name}",
            Suite.ANSWERS,
            f"{target} without a token",
            _PUBLIC,
            PERMITTED,
            "Controllers cannot find out which APIs the device has.",
            warns=frozenset({301, 302, 307, 308, 404}),
            target=target,
        )
        for name, target in (("x-nmos", "/x-nmos"), ("x-nmos-slash", "/x-nmos/"))
    ),
    Row(
        "public-bad-token",
        Suite.ANSWERS,
        "/x-nmos/ with a token that is not one",
        _PUBLIC,
        PERMITTED,
        "A client with an old token cannot even find the APIs.",
        warns=frozenset({401}),
        target="/x-nmos/",
        headers=(("Authorization", "Bearer rubbish"),),
    ),
    Row(
        "preflight",
        Suite.ANSWERS,
        "a browser's preflight, which never has a token",
        rfc(9110, "9.3.7", "OPTIONS asks what is possible and does nothing", Force.SHOULD),
        frozenset({200, 204}),
        "Controllers in a browser cannot use this API.",
        method="OPTIONS",
        headers=(
            ("Origin", "https://controller.example.com"),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization"),
        ),
        every_api=True,
    ),
)
