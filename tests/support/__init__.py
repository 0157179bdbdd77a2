"""What the tests share: servers, keys, certificates."""
