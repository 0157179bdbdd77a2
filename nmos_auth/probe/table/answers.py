"""What is public, and what browsers need."""

from __future__ import annotations

from nmos_auth.probe.rows import Row, Suite, is_04
from nmos_auth.probe.sentences import ALWAYS_PUBLIC, CORS
from nmos_auth.probe.table.statuses import PERMITTED
from nmos_auth.probe.table.tokens import expired_token

__all__ = ["ANSWERS"]

_CORS = is_04(CORS, "preflights are answered if the API's specification has them")


ANSWERS = (
    *(
        Row(
            f"public-{name}",
            Suite.ANSWERS,
            f"{target} without a token",
            ALWAYS_PUBLIC,
            PERMITTED,
            "Controllers cannot find out which APIs the device has.",
            warns=frozenset({301, 302, 307, 308, 404}),
            target=target,
        )
        for name, target in (("root", "/"), ("x-nmos", "/x-nmos"), ("x-nmos-slash", "/x-nmos/"))
    ),
    Row(
        "public-head",
        Suite.ANSWERS,
        "HEAD of /x-nmos/ without a token",
        ALWAYS_PUBLIC,
        PERMITTED,
        "Controllers cannot find out which APIs the device has.",
        warns=frozenset({204, 301, 302, 307, 308, 404, 405, 501}),
        target="/x-nmos/",
        method="HEAD",
    ),
    *(
        Row(
            f"public-{name}",
            Suite.ANSWERS,
            f"/x-nmos/ with {title}",
            ALWAYS_PUBLIC,
            PERMITTED,
            "A client whose token is not valid cannot even find the APIs.",
            warns=frozenset({301, 302, 307, 308, 400, 401}),
            target="/x-nmos/",
            token=token,
            headers=headers,
        )
        for name, title, token, headers in (
            (
                "bad-token",
                "a text that is not a token",
                None,
                (("Authorization", "Bearer rubbish"),),
            ),
            ("basic", "credentials of another scheme", None, (("Authorization", "Basic dTpw"),)),
            ("expired", "an expired token", expired_token, ()),
        )
    ),
    *(
        Row(
            "preflight" if method == "GET" else f"preflight-{method.lower()}",
            Suite.ANSWERS,
            f"a browser's preflight of {method}, which never has a token",
            _CORS,
            frozenset({200, 204}),
            "Controllers in a browser cannot use this API.",
            # IS-10 requires `read` for OPTIONS, but browsers send preflights without a token.
            warns=frozenset({401, 403, 404, 405}),
            method="OPTIONS",
            headers=(
                ("Origin", "https://controller.example.com"),
                ("Access-Control-Request-Method", method),
                ("Access-Control-Request-Headers", "authorization"),
            ),
            every_api=method == "GET",
        )
        for method in ("GET", "PATCH")
    ),
)
