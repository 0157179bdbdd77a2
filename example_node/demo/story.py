"""What is sent, one request after another, and the answer that IS-10 wants to each."""

import json
import time
import urllib.parse
from base64 import b64encode

from example_node.demo.requests import Answer, Https, Row
from nmos_auth.authority import Authority, Client, Permissions, TokenIssuer

NODE = "/x-nmos/node/v1.3"
CONNECTION = "/x-nmos/connection/v1.1"
EVERYTHING = ("*",)
READ = Permissions(read=EVERYTHING)


class Story:
    """Sends the requests, one after another, and keeps the rows of the table."""

    def __init__(self, authority: Authority, server: Https, node: Https) -> None:
        self._authority = authority
        self._server = server
        self._node = node
        self.rows: list[Row] = []

    def token(self, client: Client) -> str:
        """Get a token by the Client Credentials grant (RFC 6749 Section 4.4)."""
        secret = client.client_secret.get_secret_value()
        credentials = b64encode(f"{client.client_id}:{secret}".encode()).decode()
        form = {"grant_type": "client_credentials", "scope": " ".join(client.scopes)}
        answer = self._server.request(
            "POST",
            "/token",
            {
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urllib.parse.urlencode(form).encode(),
        )
        token = json.loads(answer.body)["access_token"]
        assert isinstance(token, str)  # noqa: S101 - by RFC 6749 Section 5.1
        return token

    def ask(
        self,
        what: str,
        expected: str,
        target: str,
        token: str | None = None,
        *,
        change: object = None,
    ) -> Answer:
        """Send a GET, or a PATCH where there is something to change, and add a row."""
        method = "GET" if change is None else "PATCH"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = None
        if change is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(change).encode()
        answer = self._node.request(method, target, headers, body)
        self.rows.append(Row(what, f"{method} {_shortened(target)}", expected, answer.summary))
        return answer

    def settle(self, target: str, token: str) -> None:
        """Ask until the Node has the keys, waiting as long as it says each time."""
        for _ in range(10):
            answer = self._node.request("GET", target, {"Authorization": f"Bearer {token}"})
            if answer.retry_after is None:
                return
            time.sleep(float(answer.retry_after))

    def tell(self, controller: Client) -> None:
        """Send everything that the table shows."""
        reader = controller.model_copy(update={"permissions": {"connection": READ, "node": READ}})
        issue = self._authority.tokens.issue
        scopes = controller.scopes
        good = self.token(controller)
        self.settle(f"{NODE}/self", good)
        expired = _issued_in_the_past(self._authority).issue(controller, scopes).text
        elsewhere = controller.model_copy(update={"audience": ("https://*.example.org",)})
        unscoped = issue(controller, ["registration"]).text
        read_only = issue(reader, scopes).text
        senders = json.loads(self.ask("read", "200", f"{CONNECTION}/single/senders", good).body)
        staged = f"{CONNECTION}/single/senders/{senders[0]}staged"

        self.ask("public path, no token", "200", "/x-nmos/")
        self.ask("no token", "401", f"{NODE}/self")
        self.ask("rubbish for a token", "401 invalid_token", f"{NODE}/self", "rubbish")
        self.ask("expired", "401 invalid_token", f"{NODE}/self", expired)
        self.ask(
            "another audience",
            "403 insufficient_scope",
            f"{NODE}/self",
            issue(elsewhere, scopes).text,
        )
        self.ask("another scope", "403 insufficient_scope", f"{NODE}/self", unscoped)
        self.ask("read", "200", f"{NODE}/self", good)
        change = {"master_enable": True}
        self.ask(
            "write, token may only read", "403 insufficient_scope", staged, read_only, change=change
        )
        self.ask("write", "200", staged, good, change=change)
        around = f"{CONNECTION}/single/%2e%2e/bulk/senders"
        self.ask("write, round by dots", "403 insufficient_scope", around, good, change=[])
        self._rotate(controller, good)

    def _rotate(self, controller: Client, old: str) -> None:
        self._authority.keys.rotate()
        announced = self.token(controller)
        self.ask("next key signs, known already", "200", f"{NODE}/self", announced)
        self.ask("former key, still published", "200", f"{NODE}/self", old)
        self._authority.keys.replace()
        surprise = self.token(controller)
        self.ask("key that nobody has seen", "503", f"{NODE}/self", surprise)
        self.settle(f"{NODE}/self", surprise)
        self.ask("the same, after Retry-After", "200", f"{NODE}/self", surprise)
        self.settle(f"{NODE}/self", announced)
        self.ask("key that was withdrawn", "401 invalid_token", f"{NODE}/self", announced)


def _issued_in_the_past(authority: Authority) -> TokenIssuer:
    settings = authority.settings
    return TokenIssuer(
        settings.issuer, authority.keys, lifetime=30, clock=lambda: time.time() - 120
    )


def _shortened(target: str) -> str:
    return "/".join(
        f"{segment[:8]}…" if len(segment) > 20 else segment for segment in target.split("/")
    )
