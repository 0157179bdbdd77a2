"""The Channel Mapping API's rooms: its bodies, the routing constraints, and the map itself.

`channel_mapping_api` has the routes.
"""
