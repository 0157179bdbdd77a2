"""DNS-SD."""
