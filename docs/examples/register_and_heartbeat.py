"""A Node as a client: it registers itself with a Registry, and sends heartbeats."""

import asyncio
import os
import ssl

import httpx

from nmos_auth.client import AuthorizationClient, BearerAuth

NODE = {  # IS-04 v1.3, the schema node.json
    "id": "3b8be755-08ff-452b-b217-c9151eb21193",
    "version": "1796040000:0",
    "label": "node",
    "description": "",
    "tags": {},
    "href": "https://node1.example.com/",
    "caps": {},
    "api": {
        "versions": ["v1.3"],
        "endpoints": [
            {
                "host": "node1.example.com",
                "port": 443,
                "protocol": "https",
                "authorization": True,
            }
        ],
    },
    "services": [],
    "clocks": [],
    "interfaces": [],
}


async def main(registry: str, heartbeats: int) -> None:
    async with AuthorizationClient() as client:  # NMOS_AUTH_CLIENT_* say how
        auth = BearerAuth(client.tokens("registration"), [registry])
        base = f"{registry}/x-nmos/registration/v1.3"
        roots = ssl.create_default_context(cafile=os.environ.get("NMOS_AUTH_CA_FILE"))
        async with httpx.AsyncClient(auth=auth, verify=roots) as http:
            answer = await http.post(f"{base}/resource", json={"type": "node", "data": NODE})
            answer.raise_for_status()
            for _ in range(heartbeats):
                await asyncio.sleep(float(os.environ.get("HEARTBEAT", "5")))
                (await http.post(f"{base}/health/nodes/{NODE['id']}")).raise_for_status()


if __name__ == "__main__":
    asyncio.run(main(os.environ["REGISTRY"], int(os.environ.get("HEARTBEATS", "1000000"))))
