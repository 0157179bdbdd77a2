"""Starts AMWA's testing tool with the settings of `scripts/conformance`.

The tool's own Python runs this file in a checkout of the tool, so it imports nothing of this
project:

    tool.py prepare
    tool.py unicast|multicast protected|open JWKS-URI SUITE-ARGUMENTS
"""

import sys
from importlib import import_module


def main(mode: str, *, authorization: bool = True, jwks_uri: str | None = None) -> None:
    """Set what a run here needs, and start the tool; `prepare` only gets the specifications.

    Args:
        mode: how the tool advertises its servers.
        authorization: whether what it tests wants tokens.
        jwks_uri: where its Authorization Server finds the Node's keys, whatever a client registers.
    """
    sys.path.insert(0, ".")
    config = import_module("nmostesting.Config")
    vars(config).update(
        ENABLE_AUTH=authorization,
        ENABLE_HTTPS=True,
        DNS_SD_MODE=mode,
        JWKS_URI=jwks_uri,
        # The network namespace has nothing else.
        BIND_INTERFACE="lo",
        UNICAST_STREAM_TARGET="127.0.0.1",
        # The Node looks for Authorization Servers every few seconds until there is one.
        MOCK_SERVICES_WARM_UP_DELAY=5,
        RANDOM_SEED=1,
        ENABLE_MQTT_BROKER=False,
    )
    # A draft, of which nothing is tested here.
    config.SPECIFICATIONS.pop("bcp-007-03", None)
    # This reads the settings while it is imported.
    testing = import_module("nmostesting.NMOSTesting")
    if mode == "prepare":
        testing.check_internal_requirements()
        testing.init_spec_cache()
    else:
        testing.main(sys.argv)


if __name__ == "__main__":
    program, mode, *others = sys.argv
    if mode == "prepare":
        main(mode)
    else:
        protection, jwks_uri, *arguments = others
        sys.argv = [program, *arguments]
        main(mode, authorization=protection == "protected", jwks_uri=jwks_uri)
