"""The ground both halves stand on."""
