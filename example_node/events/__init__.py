"""What the Events API (IS-07 v1.0) does, apart from HTTP: `events_api.py` is its HTTP side.

Read `event_types` and `messages` for the shapes, then `sources`, what changes; `signals` says which
Sources this Node has and changes their values. `subscriptions` is a client's WebSocket at the
Senders' side, `reception` the Receivers' side of such a WebSocket, `links` the URLs of both.
"""
