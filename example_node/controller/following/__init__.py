"""What a Query API knows, followed while it changes: a room that other Controllers may copy.

- `query_api`  requests and WebSockets of a Query API (IS-04 v1.3), with a user's token and bounds;
- `follower`   the loop: WebSocket subscriptions, paging as the way back, and fail-over.

A Controller has a user's own token (BCP-003-02 has the client_credentials grant for `registration`
and `events` only), so there is one follower for each session, which ends with it.
"""

from example_node.controller.following.follower import Follower, Sink, State
from example_node.controller.following.query_api import QUERY_API, QueryApi

__all__ = ["QUERY_API", "Follower", "QueryApi", "Sink", "State"]
