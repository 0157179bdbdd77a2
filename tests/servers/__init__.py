"""Tests of the ground both halves stand on."""
