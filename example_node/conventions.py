"""What all NMOS APIs have in common, so that routes do not repeat it."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from example_node import errors

LARGEST_BODY = 1 << 20
"""How many bytes of a request body are read; what a Controller sends is far smaller."""

EXPOSED = (
    *("Allow", "Link", "Location", "Retry-After", "WWW-Authenticate"),
    *("X-Paging-Limit", "X-Paging-Since", "X-Paging-Until"),
)
"""The header fields that scripts of web pages may read: without these, a Controller in a browser
cannot leave the first page of the Query API."""


class NmosConventions:
    """ASGI middleware for trailing slashes, HEAD and large bodies.

    Both forms of every path are served without a redirect: "Servers SHOULD NOT respond with 3xx
    codes" to anything but GET and HEAD, where it is only permitted (IS-04 "APIs", URLs: Approach to
    Trailing Slashes). HEAD is answered wherever GET is (RFC 9110 section 9.1).
    "Servers SHOULD check requests are not too large" (BCP-003-01, HTTP: Server).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope = dict(scope)
        if scope["path"] != "/":
            scope["path"] = scope["path"].removesuffix("/")
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
            send = _without_body(send)
        await self.app(scope, limited(receive, LARGEST_BODY), send)


def limited(receive: Receive, largest: int) -> Receive:
    """Return a `receive` that refuses a body of more bytes, with 413, where the app reads it."""
    left = largest

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413)
        return message

    return receive_limited


def _without_body(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_without_body


def new_app(title: str, lifespan: Lifespan[FastAPI]) -> FastAPI:
    """Make an application without APIs.

    Its documentation, at /docs, loads nothing from a public network, which many plants do not have.
    A body without a Content-Type is read as JSON, because some Controllers send it so.

    Args:
        title: the title of its documentation.
        lifespan: what runs while the application runs.
    """
    return FastAPIOffline(
        title=title,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        # Swagger's page would otherwise ask a public server whether the document is valid.
        swagger_ui_parameters={"validatorUrl": None},
        strict_content_type=False,
    )


def install(app: FastAPI, origins: Sequence[str]) -> None:
    """Let an app do what every NMOS API does.

    Args:
        app: the application.
        origins: the web origins whose pages may use it; `*` for all.
    """
    errors.install(app, readable_by_all="*" in origins)
    app.add_middleware(NmosConventions)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        # The same as for refusals of the middleware: credentials only from named pages.
        allow_credentials="*" not in origins,
        expose_headers=EXPOSED,
        max_age=3600,
    )


def mount(app: FastAPI, apis: Mapping[tuple[str, str], APIRouter]) -> None:
    """Mount each API at /x-nmos/<name>/<version>, and list the children of every level above.

    "At each level of the API from the base resource upwards, the response SHOULD include a JSON
    format array of the child resources" (IS-04 "APIs", API Paths).
    """
    _list(app, "/", ["x-nmos/"])
    _list(app, "/x-nmos", sorted({f"{name}/" for name, _ in apis}))
    for name in sorted({name for name, _ in apis}):
        _list(app, f"/x-nmos/{name}", sorted(f"{v}/" for each, v in apis if each == name))
    for (name, version), router in apis.items():
        app.include_router(router, prefix=f"/x-nmos/{name}/{version}")


def _list(app: FastAPI, path: str, children: list[str]) -> None:
    @app.get(path, tags=["Base resources"], operation_id=f"list{path}".replace("/", "_"))
    async def get_children() -> list[str]:
        return children
