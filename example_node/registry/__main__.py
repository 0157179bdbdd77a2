"""Runs the Registry:   python -m example_node.registry."""

import logging
import sys

import uvicorn
from pydantic import ValidationError

import nmos_auth
from example_node import tls
from example_node.registry.app import create_app
from example_node.registry.settings import Settings


def main() -> int:
    """Serve the Registry until it is told to stop; the return value is the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = _configure(Settings())
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"EXAMPLE_REGISTRY_{name}: {fault['msg']}\n")
        return 2
    except (nmos_auth.ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    uvicorn.Server(config).run()
    return 0


def _configure(settings: Settings) -> uvicorn.Config:
    """Make the Registry's app, and load its certificate.

    Raises:
        OSError: There is no certificate, or it cannot be used.
        nmos_auth.ConfigurationError: A setting of authorization is not usable.
    """
    app = create_app(settings)
    if settings.protocol == "http":
        return uvicorn.Config(app, host=settings.listen, port=settings.port, log_config=None)
    if not (settings.tls_certificate and settings.tls_key):
        raise OSError(
            "EXAMPLE_REGISTRY_TLS_CERTIFICATE and EXAMPLE_REGISTRY_TLS_KEY are needed for https; "
            "EXAMPLE_REGISTRY_PROTOCOL=http does without, for development only"
        )
    context = tls.server_context([(settings.tls_certificate, settings.tls_key)])
    return uvicorn.Config(
        app,
        host=settings.listen,
        port=settings.port,
        ssl_context_factory=lambda *_: context,
        log_config=None,
    )


if __name__ == "__main__":
    sys.exit(main())
