"""What operators ask: why a request is refused, what is wrong with a deployment, how it is."""

__all__ = ["cli", "doctor", "explain", "findings", "keycloak", "layers", "metrics", "status"]
