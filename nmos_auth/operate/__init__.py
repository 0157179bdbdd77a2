"""For operators: why a request is refused, what is wrong with a deployment, and its status."""

__all__ = ["cli", "doctor", "explain", "findings", "keycloak", "layers", "metrics", "status"]
