"""A script without an event loop: read a Query API with a token that is kept fresh."""

import os
import ssl

import httpx

from nmos_auth.client import BearerAuth, ClientThread


def main(registry: str) -> list[str]:
    with ClientThread() as client:  # NMOS_AUTH_CLIENT_* say how
        auth = BearerAuth(client.tokens("query"), [registry])
        roots = ssl.create_default_context(cafile=os.environ.get("NMOS_AUTH_CA_FILE"))
        with httpx.Client(auth=auth, verify=roots) as http:
            answer = http.get(f"{registry}/x-nmos/query/v1.3/nodes")
            answer.raise_for_status()
            return [node["label"] for node in answer.json()]


if __name__ == "__main__":
    print("\n".join(main(os.environ["REGISTRY"])))
