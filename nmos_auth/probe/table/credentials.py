"""Where a token must be in a request, and where it must not be."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Row, Source, Suite, is_10, practice, rfc
from nmos_auth.probe.sentences import (
    ACCESSING,
    ALWAYS_PUBLIC,
    ANYBODY,
    PERMISSIONS_OBJECT,
    PROXY,
    RUBBISH,
)
from nmos_auth.probe.table.statuses import BAD_REQUEST, CLOSED, INVALID, PERMITTED
from nmos_auth.probe.table.tokens import good_token

__all__ = ["CREDENTIALS"]

_REJECT = is_10(ACCESSING, "a request without credentials is rejected, with WWW-Authenticate")
_HEADER = is_10(
    ACCESSING, "HTTP requests carry the token in the Authorization header", Force.STATED
)
_VALIDATE = is_10(ACCESSING, "signature and claims of a token are validated")
_MALFORMED = rfc(6750, "3.1", "a malformed request is answered 400, invalid_request", Force.SHOULD)
_ONE_TOKEN = rfc(6750, "2.1", "the header holds one token and nothing else", Force.STATED)
_TWICE = rfc(
    6750, "3.1", "a request that repeats a parameter is answered 400, invalid_request", Force.SHOULD
)
_SCHEME = rfc(9110, "11.1", "the name of a scheme is not case-sensitive", Force.STATED)
_400 = frozenset({400, 401})


def _header(name: str, title: str, source: Source, value: str, meaning: str) -> Row:
    return Row(
        f"credentials-{name}",
        Suite.CREDENTIALS,
        title,
        source,
        _400,
        meaning,
        token=good_token if "{token}" in value else None,
        headers=(("Authorization", value),),
    )


def _elsewhere(name: str, title: str, header: str, value: str) -> Row:
    return Row(
        f"credentials-{name}",
        Suite.CREDENTIALS,
        title,
        _HEADER,
        INVALID,
        "The device accepts a token in a place that proxies do not check.",
        warns=frozenset({400, 403}),
        token=good_token,
        headers=((header, value),),
    )


def _twice(name: str, title: str, *values: str) -> Row:
    return Row(
        f"credentials-{name}",
        Suite.CREDENTIALS,
        title,
        _TWICE,
        _400,
        PROXY,
        token=good_token,
        headers=tuple(("Authorization", value) for value in values),
    )


CREDENTIALS = (
    Row(
        "credentials-none",
        Suite.CREDENTIALS,
        "no token, on a base path",
        _REJECT,
        INVALID,
        ANYBODY,
        target="{base}/",
        every_api=True,
    ),
    Row(
        "credentials-none-below",
        Suite.CREDENTIALS,
        "no token, below the base path",
        _REJECT,
        INVALID,
        ANYBODY,
        every_api=True,
    ),
    Row(
        "credentials-good",
        Suite.CREDENTIALS,
        "a good token",
        is_10(PERMISSIONS_OBJECT, "`read` is the ability to retrieve", Force.STATED),
        PERMITTED,
        "Clients with good tokens cannot use this API.",
        token=good_token,
        every_api=True,
    ),
    *(
        Row(
            f"credentials-{name}",
            Suite.CREDENTIALS,
            f"the scheme Bearer {title}",
            _SCHEME,
            PERMITTED,
            f"Clients that write `{scheme}` are refused.",
            warns=INVALID,
            token=good_token,
            headers=(("Authorization", f"{scheme} {{token}}"),),
        )
        for name, title, scheme in (
            ("scheme-case", "in lower case", "bearer"),
            ("scheme-capitals", "in capitals", "BEARER"),
        )
    ),
    Row(
        "credentials-basic",
        Suite.CREDENTIALS,
        "credentials of another scheme",
        _REJECT,
        INVALID,
        "A scheme other than Bearer opens the API.",
        warns=BAD_REQUEST,
        headers=(("Authorization", "Basic YWRtaW46YWRtaW4="),),
    ),
    *(
        Row(
            f"credentials-{name}",
            Suite.CREDENTIALS,
            f"a good token under the scheme {scheme}",
            _REJECT,
            INVALID,
            "A scheme other than Bearer opens the API.",
            warns=BAD_REQUEST,
            token=good_token,
            headers=(("Authorization", f"{scheme} {{token}}"),),
        )
        for name, scheme in (
            ("basic-token", "Basic"),
            ("dpop", "DPoP"),
            ("longer-scheme", "Bearers"),
            ("shorter-scheme", "Beare"),
        )
    ),
    _header(
        "empty",
        "an Authorization header with nothing in it",
        _REJECT,
        "",
        "An empty header opens the API.",
    ),
    _header(
        "no-token",
        "the scheme Bearer without a token",
        _MALFORMED,
        "Bearer ",
        "A header without a token opens the API.",
    ),
    _header(
        "token-alone",
        "a token without a scheme",
        _REJECT,
        "{token}",
        "The device accepts tokens without a scheme, which proxies do not check.",
    ),
    Row(
        "credentials-rubbish",
        Suite.CREDENTIALS,
        "a UUID in place of a token",
        _VALIDATE,
        INVALID,
        RUBBISH,
        headers=(("Authorization", "Bearer 2f1d0e8c-5b0a-4a52-9d0f-3f1f5d2f6a1b"),),
    ),
    Row(
        "credentials-long-rubbish",
        Suite.CREDENTIALS,
        "7,000 bytes of rubbish in place of a token",
        practice("no length of a header makes a server fail"),
        CLOSED,
        RUBBISH,
        headers=(("Authorization", f"Bearer {'a' * 7000}"),),
    ),
    _header(
        "trailing",
        "a good token followed by another word",
        _ONE_TOKEN,
        "Bearer {token} extra",
        PROXY,
    ),
    _header(
        "list", "two good tokens in a list", _ONE_TOKEN, "Bearer {token}, Bearer {token}", PROXY
    ),
    _header("comma", "a good token and a comma", _ONE_TOKEN, "Bearer {token},", PROXY),
    _header("quotes", "a good token in quotes", _ONE_TOKEN, 'Bearer "{token}"', PROXY),
    _header(
        "parameter",
        "a good token followed by a parameter",
        _ONE_TOKEN,
        'Bearer {token} realm="x"',
        PROXY,
    ),
    _header("tab", "a tab in place of the space", _ONE_TOKEN, "Bearer\t{token}", PROXY),
    _twice("twice", "two Authorization headers", "Bearer {token}", "Bearer {token}"),
    _twice("good-and-bad", "a good token, then a bad one", "Bearer {token}", "Bearer a.b.c"),
    _twice("bad-and-good", "a bad token, then a good one", "Bearer a.b.c", "Bearer {token}"),
    _twice(
        "basic-and-good", "Basic credentials, then a good token", "Basic dTpw", "Bearer {token}"
    ),
    Row(
        "credentials-query",
        Suite.CREDENTIALS,
        "the token in the query of an HTTP request",
        _HEADER,
        _400,
        "Tokens end up in logs and histories, where others find them.",
        token=good_token,
        target="{base}/{path}?access_token={token}",
    ),
    Row(
        "credentials-query-public",
        Suite.CREDENTIALS,
        "the token in the query of a public path",
        ALWAYS_PUBLIC,
        PERMITTED,
        "A client with a token cannot even find the APIs.",
        warns=frozenset({301, 302, 307, 308, 400, 401, 404}),
        token=good_token,
        target="/x-nmos/?access_token={token}",
    ),
    _elsewhere("cookie", "the token in a cookie", "Cookie", "access_token={token}; token={token}"),
    _elsewhere(
        "proxy", "the token in Proxy-Authorization", "Proxy-Authorization", "Bearer {token}"
    ),
    _elsewhere(
        "x-authorization", "the token in X-Authorization", "X-Authorization", "Bearer {token}"
    ),
    _elsewhere(
        "forwarded",
        "the token in X-Forwarded-Authorization",
        "X-Forwarded-Authorization",
        "Bearer {token}",
    ),
    _elsewhere("access-token", "the token in Access-Token", "Access-Token", "{token}"),
    _elsewhere(
        "protocol", "the token as a WebSocket protocol", "Sec-WebSocket-Protocol", "{token}"
    ),
)
