"""What the token endpoint is asked."""
