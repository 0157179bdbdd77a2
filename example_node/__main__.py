"""Runs the Node:   python -m example_node."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

import nmos_auth
from example_node.app import create_app
from example_node.settings import Settings


def main() -> int:
    """Serve the Node until it is told to stop; the return value is the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = _configure(Settings())
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"EXAMPLE_NODE_{name}: {fault['msg']}\n")
        return 2
    except (nmos_auth.ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    uvicorn.Server(config).run()
    return 0


def _configure(settings: Settings) -> uvicorn.Config:
    """Make the Node's app, and load its certificate.

    Raises:
        OSError: There is no certificate, or it cannot be used; or a network interface cannot.
        nmos_auth.ConfigurationError: A setting of authorization is not usable.
    """
    https = settings.protocol == "https"
    if https and not (settings.tls_certificate and settings.tls_key):
        raise OSError(
            "EXAMPLE_NODE_TLS_CERTIFICATE and EXAMPLE_NODE_TLS_KEY are needed for https; "
            "EXAMPLE_NODE_PROTOCOL=http does without, for development only"
        )
    config = uvicorn.Config(
        create_app(settings),
        host=settings.listen,
        port=settings.port,
        ssl_certfile=settings.tls_certificate if https else None,
        ssl_keyfile=settings.tls_key if https else None,
        log_config=None,
    )
    try:
        config.load()
    except OSError as error:
        raise OSError(f"the TLS certificate and key cannot be used: {error}") from error
    return config


if __name__ == "__main__":
    sys.exit(main())
