"""What the Connection API (IS-05 v1.1) does, apart from HTTP: `connection_api.py` is its HTTP side.

Read `endpoint` first, then `senders` and `receivers`, then `rtp`; `models` has the shapes, `sdp`
the transport files.
"""
