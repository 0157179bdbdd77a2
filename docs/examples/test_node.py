"""A test of the Node in node.py; pytest finds both fixtures by itself."""

import pytest
from node import app
from starlette.testclient import TestClient

SELF = "/x-nmos/node/v1.3/self"


@pytest.mark.parametrize(
    ("read", "status"), [({"node": ["self"]}, 200), ({"node": ["devices"]}, 403)]
)
def test_self(nmos_authority, nmos_protect, read, status):  # type: ignore[no-untyped-def]
    nmos_protect(app)
    with TestClient(app) as client:
        token = nmos_authority.token(read=read, client_id="controller-1")
        assert client.get(SELF, headers=nmos_authority.headers(token)).status_code == status
        assert client.get(SELF).status_code == 401
