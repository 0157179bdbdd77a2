"""Runs the Node:   python -m example_node."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

import nmos_auth
from example_node import tls
from example_node.app import create_app
from example_node.events.subscriptions import LARGEST_COMMAND
from example_node.settings import Settings


def main() -> int:
    """Serve the Node until it is told to stop; the return value is the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # It says every request, and a heartbeat goes out every five seconds.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config = _configure(Settings())
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"EXAMPLE_NODE_{name}: {fault['msg']}\n")
        return 2
    except (nmos_auth.NmosAuthError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    uvicorn.Server(config).run()
    return 0


def _configure(settings: Settings) -> uvicorn.Config:
    """Make the Node's app, and load its certificates.

    Raises:
        OSError: There is no certificate, or one cannot be used; or a network interface cannot.
        nmos_auth.NmosAuthError: A setting of authorization, or the client's store, is not usable.
    """
    app = create_app(settings)
    if settings.protocol == "http":
        return uvicorn.Config(
            app,
            host=settings.listen,
            port=settings.port,
            ws_max_size=LARGEST_COMMAND,
            log_config=None,
        )
    if not settings.tls_certificate or len(settings.tls_certificate) != len(settings.tls_key):
        raise OSError(
            "EXAMPLE_NODE_TLS_CERTIFICATE and EXAMPLE_NODE_TLS_KEY are needed for https, as many "
            "of one as of the other; EXAMPLE_NODE_PROTOCOL=http does without, for development only"
        )
    context = tls.server_context(zip(settings.tls_certificate, settings.tls_key, strict=True))
    return uvicorn.Config(
        app,
        host=settings.listen,
        port=settings.port,
        ssl_context_factory=lambda *_: context,
        # Here and not in the app, so that refusals and failures have it too.
        headers=tls.strict_transport_security(settings.hsts_max_age),
        ws_max_size=LARGEST_COMMAND,
        log_config=None,
    )


if __name__ == "__main__":
    sys.exit(main())
