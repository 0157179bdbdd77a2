"""The development Authorization Server, as its clients and its operator meet it."""
