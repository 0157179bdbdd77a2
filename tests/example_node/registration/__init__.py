"""The Node as a Client of Registration APIs."""
